//! A Hugging Face `config.json` as a model.
//!
//! The keys are those of the transformers library's configuration classes, and so are the defaults for keys
//! a file leaves out. Only architectures whose parameter count this module gets exactly right are accepted.

use serde_json::Value;

use super::{Bias, Experts, Model, ModelError, Norm, Positions};

/// Architectures that can be read, as `model_type` spells them.
const KNOWN: &str = "llama, mistral, mixtral, qwen2, qwen3, gpt2, gpt_neox, opt, bloom";

/// The model that a `config.json` describes. `name` stands for the file in messages, and its stem names the model
/// where the file does not.
///
/// # Errors
/// [`ModelError::File`] with line and key: not JSON, an unknown architecture, a key that is missing, of the wrong
/// kind, or at odds with another.
pub fn parse_hf_config(text: &str, name: &str) -> Result<Model, ModelError> {
    let value: Value = serde_json::from_str(text).map_err(|error| ModelError::File {
        file: name.to_owned(),
        line: error.line().max(1),
        key: None,
        problem: format!("not valid JSON: {error}; give the config.json as the model's repository has it"),
    })?;
    let config = Config { text, name, value: &value };
    let kind = config.text_of("model_type")?;
    let model = match kind {
        "llama" | "mistral" | "mixtral" | "qwen2" | "qwen3" => config.llama(kind)?,
        "gpt2" => config.gpt2()?,
        "gpt_neox" => config.gpt_neox()?,
        "opt" => config.opt()?,
        "bloom" => config.bloom()?,
        other => {
            let way = match value.get("text_config") {
                Some(_) => "; this one describes several models: give what its `text_config` holds".to_owned(),
                None => format!("; can be read: {KNOWN}; or describe the model in a TOML file"),
            };
            return Err(config.error("model_type", format!("architecture `{other}` is not known{way}")));
        }
    };
    model.checked().map_err(|error| match &error {
        ModelError::Number { what, .. } | ModelError::Indivisible { what, .. } => {
            config.error(config.spelling(what), error.to_string())
        }
        _ => error,
    })
}

struct Config<'a> {
    text: &'a str,
    name: &'a str,
    value: &'a Value,
}

impl Config<'_> {
    fn error(&self, key: &str, problem: String) -> ModelError {
        // A missing key has no line of its own: it is missing at the object's end.
        let line = top_level_line(self.text, key).unwrap_or_else(|| self.text.trim_end().lines().count().max(1));
        ModelError::File { file: self.name.to_owned(), line, key: Some(key.to_owned()), problem }
    }

    /// The key of this file that holds what a [`Model`] calls `field`.
    fn spelling(&self, field: &'static str) -> &'static str {
        let spellings: &[&'static str] = match field {
            "layers" => &["num_hidden_layers", "n_layer"],
            "hidden" => &["hidden_size", "n_embed", "n_embd"],
            "heads" => &["num_attention_heads", "n_head"],
            "kv_heads" => &["num_key_value_heads"],
            "intermediate" => &["intermediate_size", "ffn_dim", "n_inner"],
            "routed" => &["num_experts_per_tok"],
            _ => &[],
        };
        spellings.iter().copied().find(|key| self.value.get(key).is_some()).unwrap_or(field)
    }

    /// A key that is there and not null.
    fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    fn text_of(&self, key: &str) -> Result<&str, ModelError> {
        let found = self.get(key).ok_or_else(|| self.error(key, "is missing; a config.json names it".to_owned()))?;
        found.as_str().ok_or_else(|| self.error(key, format!("is {found}, not a text in quotes")))
    }

    fn optional(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let wrong = |found: &Value| self.error(key, format!("is {found}, not a whole number up to 4294967295"));
        let number = |found: &Value| found.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| wrong(found));
        self.get(key).map(number).transpose()
    }

    /// The first of several spellings of one key.
    fn number(&self, keys: &[&str]) -> Result<u32, ModelError> {
        for key in keys {
            if let Some(found) = self.optional(key)? {
                return Ok(found);
            }
        }
        Err(self.error(keys[0], format!("is missing; give it as a whole number ({})", keys.join(" or "))))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        let wrong = |found: &Value| self.error(key, format!("is {found}, not true or false"));
        self.get(key).map_or(Ok(default), |found| found.as_bool().ok_or_else(|| wrong(found)))
    }

    /// Head size where no key states it.
    fn head_dim(&self, hidden: u32, heads: u32) -> Result<u32, ModelError> {
        match (self.optional("head_dim")?, hidden.checked_rem(heads)) {
            (Some(stated), _) => Ok(stated),
            (None, Some(0)) => Ok(hidden / heads),
            (None, _) => {
                let key = self.spelling("heads");
                Err(self.error(key, format!("{heads} heads do not divide a hidden size of {hidden}; add `head_dim`")))
            }
        }
    }

    /// What the GPT family shares: biases, layer normalisation, no gate, an MLP four times as wide, multi-head
    /// attention.
    fn gpt(&self, layers: &[&str], hidden: &[&str], heads: &[&str]) -> Result<Model, ModelError> {
        let (hidden, heads) = (self.number(hidden)?, self.number(heads)?);
        Ok(Model {
            id: self.stem(),
            name: self.stem(),
            source: self.name.to_owned(),
            assumed: None,
            layers: self.number(layers)?,
            hidden,
            heads,
            kv_heads: heads,
            head_dim: self.head_dim(hidden, heads)?,
            intermediate: hidden.saturating_mul(4),
            gated: false,
            vocab: self.number(&["vocab_size"])?,
            tied: self.flag("tie_word_embeddings", true)?,
            positions: Positions::Fixed,
            bias: Bias::Everywhere,
            norm: Norm::Layer,
            embedding_norm: false,
            qk_norm: false,
            window: None,
            experts: None,
            context: self.optional("max_position_embeddings")?,
            published: None,
        })
    }

    fn llama(&self, kind: &str) -> Result<Model, ModelError> {
        let base = self.gpt(&["num_hidden_layers"], &["hidden_size"], &["num_attention_heads"])?;
        for key in ["attention_bias", "mlp_bias"] {
            if self.flag(key, false)? {
                let problem = "true adds biases that are not counted here; describe the model in a TOML file";
                return Err(self.error(key, problem.to_owned()));
            }
        }
        let bias = if kind == "qwen2" { Bias::Qkv } else { Bias::Nowhere };
        let windowed = match kind {
            "mistral" | "mixtral" => true,
            _ => self.flag("use_sliding_window", false)?,
        };
        let experts = match kind {
            "mixtral" => Some(Experts {
                count: self.number(&["num_local_experts"])?,
                routed: self.number(&["num_experts_per_tok"])?,
            }),
            _ => None,
        };
        Ok(Model {
            kv_heads: self.optional("num_key_value_heads")?.unwrap_or(base.heads),
            intermediate: self.number(&["intermediate_size"])?,
            gated: true,
            tied: self.flag("tie_word_embeddings", false)?,
            bias,
            norm: Norm::Rms,
            qk_norm: kind == "qwen3",
            window: if windowed { self.optional("sliding_window")? } else { None },
            experts,
            ..base
        })
    }

    fn gpt2(&self) -> Result<Model, ModelError> {
        let base = self.gpt(&["n_layer"], &["n_embd"], &["n_head"])?;
        let rows = self.number(&["n_positions", "n_ctx"])?;
        Ok(Model {
            intermediate: self.optional("n_inner")?.unwrap_or(base.intermediate),
            positions: Positions::Learned(rows),
            context: Some(rows),
            ..base
        })
    }

    fn gpt_neox(&self) -> Result<Model, ModelError> {
        let base = self.gpt(&["num_hidden_layers"], &["hidden_size"], &["num_attention_heads"])?;
        Ok(Model {
            intermediate: self.number(&["intermediate_size"])?,
            tied: self.flag("tie_word_embeddings", false)?,
            ..base
        })
    }

    fn opt(&self) -> Result<Model, ModelError> {
        let base = self.gpt(&["num_hidden_layers"], &["hidden_size"], &["num_attention_heads"])?;
        if !self.flag("do_layer_norm_before", true)? {
            let problem = "false has no final normalisation, which is counted here; describe the model in a TOML file";
            return Err(self.error("do_layer_norm_before", problem.to_owned()));
        }
        match self.optional("word_embed_proj_dim")? {
            Some(narrow) if narrow != base.hidden => {
                let problem = format!(
                    "is {narrow} and differs from hidden_size {}: the projection between them is not counted here; \
                     describe the model in a TOML file",
                    base.hidden
                );
                return Err(self.error("word_embed_proj_dim", problem));
            }
            _ => {}
        }
        // Two rows before the first position are kept for padding.
        let rows = self.number(&["max_position_embeddings"])?.saturating_add(2);
        Ok(Model { intermediate: self.number(&["ffn_dim"])?, positions: Positions::Learned(rows), ..base })
    }

    fn bloom(&self) -> Result<Model, ModelError> {
        let heads = ["n_head", "num_attention_heads"];
        let base = self.gpt(&["n_layer", "num_hidden_layers"], &["hidden_size", "n_embed"], &heads)?;
        Ok(Model { embedding_norm: true, context: self.optional("seq_length")?, ..base })
    }

    /// The file's name without folder and ending; `_name_or_path`, where the file states it, says more.
    fn stem(&self) -> String {
        let stated = self.get("_name_or_path").and_then(Value::as_str).filter(|stated| !stated.is_empty());
        let name = stated.unwrap_or(self.name);
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        name.strip_suffix(".json").unwrap_or(name).to_owned()
    }
}

/// The line, counted from 1, on which the outermost object has `key`.
fn top_level_line(text: &str, key: &str) -> Option<usize> {
    let (mut depth, mut line) = (0_u32, 1);
    let mut rest = text.char_indices();
    while let Some((at, character)) = rest.next() {
        match character {
            '\n' => line += 1,
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '"' => {
                let mut end = at;
                while let Some((next, inner)) = rest.next() {
                    match inner {
                        '\\' => drop(rest.next()),
                        '"' => {
                            end = next;
                            break;
                        }
                        _ => {}
                    }
                }
                let is_key = text.get(end + 1..).is_some_and(|after| after.trim_start().starts_with(':'));
                if depth == 1 && is_key && text.get(at + 1..end) == Some(key) {
                    return Some(line);
                }
            }
            _ => {}
        }
    }
    None
}
