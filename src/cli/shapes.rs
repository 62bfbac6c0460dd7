//! `--shapes`: matrix products from a file, or those of a model's layers on one of the GPUs that share it.

use std::path::Path;

use super::{Failure, complain, cost};
use crate::llm::{Model, Product};
use crate::record::{MatmulShape, Precision};
use crate::suite::{self, Profile, SIDE};

/// What precedes the name of a model.
const MODEL: &str = "model:";

/// How a model's products are written.
const FORM: &str = "write model:NAME[,tensor=T][,batch=1+8+64], such as model:llama_3_1_70b,tensor=4";

/// The number format of a model's weights and activations, where none is asked for.
const PRECISION: Precision = Precision::Bf16;

/// The products that the text names: a file's, or a model's. A model's are in bf16, unless the user gives the precisions
/// as an axis.
pub fn shapes(text: &str, profile: Profile, precision_given: bool) -> Result<Vec<MatmulShape>, Failure> {
    match text.strip_prefix(MODEL) {
        Some(request) => of_model(request, profile, (!precision_given).then_some(PRECISION)),
        None => of_file(Path::new(text)),
    }
}

fn of_file(file: &Path) -> Result<Vec<MatmulShape>, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", file.display()));
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let parsed = suite::shapes::parse(&String::from_utf8_lossy(&bytes));
    parsed.map_err(|error| Failure::usage(format!("{}, {error}", file.display())))
}

fn of_model(text: &str, profile: Profile, precision: Option<Precision>) -> Result<Vec<MatmulShape>, Failure> {
    let Asked { name, tensor, batches } = Asked::parse(text, profile).map_err(Failure::usage)?;
    let model = cost::model(name)?;
    let refused = |error| Failure::usage(format!("--shapes {MODEL}{text}: {error}"));
    let products = model.products(tensor).map_err(refused)?;
    complain(&format!("note: {}", told(&model, tensor, &products)));
    let mut shapes: Vec<MatmulShape> = Vec::new();
    for Product { id, n, k } in products {
        if let Some(side) = [n, k].into_iter().find(|side| *side > SIDE[1]) {
            return Err(Failure::usage(format!(
                "{id} of {} has a side of {side}, and {} is the largest that is measured: use more tensor ranks",
                model.name, SIDE[1]
            )));
        }
        shapes.extend(batches.iter().map(|m| MatmulShape { m: *m, n, k, precision }));
    }
    let mut seen = std::collections::HashSet::new();
    shapes.retain(|shape| seen.insert((shape.m, shape.n, shape.k)));
    Ok(shapes)
}

/// What the products are, since a case is named by its sides alone.
fn told(model: &Model, tensor: u32, products: &[Product]) -> String {
    let share = if tensor == 1 { String::new() } else { format!(", one GPU of {tensor}") };
    let products: Vec<String> = products.iter().map(|Product { id, n, k }| format!("{id} {n} x {k}")).collect();
    let experts = match model.experts {
        Some(_) => "; router and experts are not among them: their rows depend on the routing",
        None => "",
    };
    format!("products of {}{share}, n x k: {}{experts}", model.name, products.join(", "))
}

/// A model's products as asked for.
#[derive(Debug, PartialEq)]
struct Asked<'a> {
    name: &'a str,
    tensor: u32,
    batches: Vec<u64>,
}

impl<'a> Asked<'a> {
    fn parse(text: &'a str, profile: Profile) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or("").trim();
        if name.is_empty() {
            return Err(format!("--shapes {MODEL} names no model; {FORM}"));
        }
        let (mut tensor, mut batches) = (None, None);
        for part in parts {
            let (option, value) = part.split_once('=').unwrap_or((part, ""));
            let again = match option.trim() {
                "tensor" => tensor.replace(ranks(value)?).is_some(),
                "batch" => batches.replace(batch_list(value)?).is_some(),
                other => {
                    return Err(format!("'{other}' is no option of a model's shapes; known: tensor, batch; {FORM}"));
                }
            };
            if again {
                return Err(format!("'{option}' is given twice; {FORM}"));
            }
        }
        let batches = batches.unwrap_or_else(|| usual_batches(profile));
        Ok(Self { name, tensor: tensor.unwrap_or(1), batches })
    }
}

fn ranks(text: &str) -> Result<u32, String> {
    let ranks = text.trim().parse().ok().filter(|ranks| *ranks > 0);
    ranks
        .ok_or_else(|| format!("tensor cannot be '{text}': it is the number of GPUs that share each matrix, 1 or more"))
}

fn batch_list(text: &str) -> Result<Vec<u64>, String> {
    let [least, most] = SIDE;
    let batch = |text: &str| {
        let batch = text.trim().parse().ok().filter(|batch| (least..=most).contains(batch));
        batch.ok_or_else(|| format!("batch cannot be '{text}': write numbers from {least} to {most}, such as 1+8+64"))
    };
    text.split('+').map(batch).collect()
}

/// Batches of decoding by profile, and in `full` rows of a prompt as well.
fn usual_batches(profile: Profile) -> Vec<u64> {
    match profile {
        Profile::Quick => vec![1, 8, 64, 512],
        Profile::Standard => (0..10).map(|power| 1 << power).collect(),
        Profile::Full => (0..14).map(|power| 1 << power).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_order_and_refused_by_name() {
        let asked = Asked::parse("llama,batch=1+8,tensor=4", Profile::Quick).unwrap();
        assert_eq!(asked, Asked { name: "llama", tensor: 4, batches: vec![1, 8] });
        assert_eq!(Asked::parse("llama", Profile::Quick).unwrap().batches, [1, 8, 64, 512]);
        for (text, word) in [
            ("", "names no model"),
            ("llama,tensor=0", "'0'"),
            ("llama,tensor=x", "'x'"),
            ("llama,batch=", "''"),
            ("llama,batch=1+0", "'0'"),
            ("llama,batch=1,8", "'8'"),
            ("llama,pipeline=2", "'pipeline'"),
            ("llama,tensor=2,tensor=4", "twice"),
        ] {
            let error = Asked::parse(text, Profile::Quick).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
