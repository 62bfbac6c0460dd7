//! Bad claim files: each mistake is named with file, line and way out.

use rooflint::claims::{ClaimError, Library, parse};

const HEADER: &str =
    "[document]\nid = \"mine\"\ntitle = \"t\"\nsource = \"s\"\nspeaker = \"p\"\nas_of = \"now\"\nabout = \"a\"\n";

/// A sound claim, from line 8 on.
const CLAIM: &str = r#"[[claim]]
id = "my.claim"
lines = [3]
says = "Something."
check = "arithmetic"

[[claim.part]]
name = "ratio"
value = 2
unit = "x"
formula = "quotient"
inputs.numerator = { stated = 4, unit = "GPUs" }
inputs.denominator = { stated = 2, unit = "GPUs" }

[[claim.assumption]]
text = "Two GPUs"
alternatives = [{ label = "one", set = { denominator = { assumed = 1, unit = "GPUs", why = "a test" } } }]
"#;

fn read(claims: &str) -> Result<Library, ClaimError> {
    Library::embedded().unwrap().with([parse(&format!("{HEADER}{claims}"), "mine.toml")?])
}

/// The error that one replacement in the sound claim makes.
fn spoiled(from: &str, to: &str) -> String {
    assert!(CLAIM.contains(from), "{from} is not in the claim");
    read(&CLAIM.replacen(from, to, 1)).unwrap_err().to_string()
}

fn says(error: &str, line: usize, words: &[&str]) {
    assert!(error.starts_with(&format!("mine.toml:{line}: ")), "line {line} was expected: {error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is missing: {error}");
    }
}

#[test]
fn the_sound_claim_is_read() {
    read(CLAIM).unwrap();
}

#[test]
fn unknown_names_are_told_with_the_known_ones() {
    says(&spoiled("\"quotient\"", "\"quotent\""), 18, &["unknown formula `quotent`", "quotient", "training_flop"]);
    says(&spoiled("unit = \"x\"", "unit = \"times\""), 17, &["unknown unit `times`", "GiB", "tokens/s"]);
    says(&spoiled("unit = \"GPUs\" }", "unit = \"cards\" }"), 19, &["unknown unit `cards`", "GPUs"]);
    says(&spoiled("\"arithmetic\"", "\"maths\""), 12, &["unknown check `maths`", "arithmetic", "context"]);
    says(&spoiled("says =", "document = \"theirs\"\nsays ="), 9, &["unknown document `theirs`", "mine", "gpt4-leak"]);
    says(&spoiled("value = 2", "role = \"maybe\"\nvalue = 2"), 16, &["unknown role `maybe`", "reading"]);
    says(&spoiled("lines", "line"), 10, &["unknown field `line`", "lines"]);
}

#[test]
fn a_formula_without_an_input_names_it() {
    let error = spoiled("inputs.denominator = { stated = 2, unit = \"GPUs\" }\n", "");
    says(&error, 18, &["`quotient` is missing its input `denominator`", "numerator, denominator"]);
    let error = spoiled("inputs.numerator", "inputs.divisor = { exact = 1, unit = \"1\" }\ninputs.numerator");
    says(&error, 19, &["takes no input `divisor`", "numerator, denominator"]);
    let error = spoiled("set = { denominator", "set = { divisor");
    says(&error, 22, &["no part takes an input `divisor`", "ratio"]);
}

#[test]
fn kinds_are_kept_apart() {
    let swapped = CLAIM.replace("\"quotient\"", "\"training_flop\"");
    says(&read(&swapped).unwrap_err().to_string(), 18, &["`training_flop` gives FLOP", "no `x`"]);
    let tokens = "formula = \"training_flop\"\ninputs.parameters = { claim = \"g4.tokens\" }\ninputs.tokens = { stated = 1e12, unit = \"tokens\" }\n";
    let text = CLAIM.replace("unit = \"x\"", "unit = \"FLOP\"");
    let (before, after) = (text.find("formula").unwrap(), text.find("\n[[claim.assumption]]").unwrap());
    let error = read(&format!("{}{tokens}", &text[..before])).unwrap_err().to_string();
    assert!(after > before);
    says(&error, 19, &["`parameters` of formula `training_flop`", "given in parameters"]);
}

#[test]
fn ids_are_unique() {
    let error = read(&format!("{CLAIM}{CLAIM}")).unwrap_err().to_string();
    says(&error, 26, &["`my.claim` is already made at mine.toml:9"]);
    let error = read(&CLAIM.replace("my.claim", "g4.params")).unwrap_err().to_string();
    says(&error, 9, &["`g4.params` is already made at gpt4_leak.toml:"]);
    let header = HEADER.replace("\"mine\"", "\"gpt4-leak\"");
    let file = parse(&format!("{header}{CLAIM}"), "mine.toml").unwrap();
    let error = Library::embedded().unwrap().with([file]).unwrap_err().to_string();
    says(&error, 1, &["document `gpt4-leak` is already declared at gpt4_leak.toml:"]);
    let part = "[[claim.part]]\nname = \"ratio\"\nvalue = 2\nunit = \"x\"\n\n[[claim.assumption]]";
    says(&spoiled("[[claim.assumption]]", part), 22, &["two parts are named `ratio`"]);
}

#[test]
fn references_must_exist() {
    let from = "{ stated = 4, unit = \"GPUs\" }";
    says(&spoiled(from, "{ claim = \"g4.parms\" }"), 19, &["no claim `g4.parms`", "g4.params"]);
    says(&spoiled(from, "{ claim = \"g4.params\", part = \"half\" }"), 19, &["`g4.params` has no such part", "total"]);
    says(&spoiled(from, "{ found = \"g4.layers\" }"), 19, &["nothing recomputes `layers`", "`claim`"]);
    says(&spoiled(from, "{ claim = \"g4.capacity\", part = \"gain\" }"), 19, &["states no `gain`", "`found`"]);
    says(
        &spoiled(from, "{ gpu = \"a100\", quantity = \"memory_bandwidth\" }"),
        19,
        &["unknown GPU `a100`", "a100_sxm_40gb", "any"],
    );
    says(
        &spoiled(from, "{ gpu = \"any\", quantity = \"bandwidth\" }"),
        19,
        &["unknown quantity `bandwidth`", "memory_bandwidth"],
    );
    says(&spoiled(from, "{ model = \"gpt-5\", quantity = \"layers\" }"), 19, &["unknown model `gpt-5`", "gpt_3_175b"]);
    says(
        &spoiled(from, "{ model = \"gpt_3_175b\", quantity = \"depth\" }"),
        19,
        &["unknown quantity `depth`", "layers"],
    );
    says(&spoiled("says =", "compares = [\"x.nothing\"]\nsays ="), 9, &["no claim `x.nothing`"]);
    says(
        &spoiled("formula = \"quotient\"", "formula = \"quotient\"\nuse = [\"gpt4\"]"),
        19,
        &["no set of inputs `gpt4`"],
    );
    let own = "{ found = \"my.claim\" }";
    says(&spoiled(from, own), 14, &["`ratio` leads back to itself"]);
}

#[test]
fn numbers_must_be_usable() {
    says(&spoiled("value = 2", "value = 0"), 14, &["no positive number"]);
    says(&spoiled("value = 2", "value = -2"), 14, &["no positive number"]);
    says(&spoiled("value = 2", "value = nan"), 14, &["no positive number"]);
    says(&spoiled("value = 2", "range = [3, 2]"), 14, &["wrong way round"]);
    says(&spoiled("value = 2", "value = 2\nat_most = 3"), 14, &["give one of"]);
    says(&spoiled("stated = 4", "stated = -4"), 19, &["no positive number"]);
    says(&spoiled("check =", "tolerance = 5\ncheck ="), 12, &["share from 0 to below 1", "0.05 for 5 %"]);
    says(&spoiled("{ stated = 4, unit = \"GPUs\" }", "{ stated = 4 }"), 19, &["needs its `unit`"]);
    says(&spoiled("{ stated = 4, unit = \"GPUs\" }", "{ unit = \"GPUs\" }"), 19, &["exactly one of", "not 0"]);
    says(&spoiled("{ stated = 4,", "{ stated = 4, exact = 4,"), 19, &["exactly one of", "not 2"]);
    says(&spoiled("{ stated = 4,", "{ assumed = 4,"), 19, &["say `why`", "assumed"]);
}

#[test]
fn claims_must_be_whole() {
    says(&spoiled("lines = [3]\n", ""), 8, &["give the `lines`", "`compares`"]);
    says(&spoiled("formula = \"quotient\"\n", ""), 14, &["has no `formula`"]);
    says(
        &spoiled("set = { denominator = { assumed = 1, unit = \"GPUs\", why = \"a test\" } }", "set = {}"),
        24,
        &["must `set` something"],
    );
    let bare = CLAIM.split("\n[[claim.part]]").next().unwrap();
    says(&read(bare).unwrap_err().to_string(), 8, &["nothing to judge", "check = \"context\""]);
    says(&read("[[claim]\n").unwrap_err().to_string(), 8, &[]);
    let error = parse("", "empty.toml").unwrap_err().to_string();
    assert!(error.starts_with("empty.toml:1: ") && error.contains("document"), "{error}");
}

/// Inputs that a formula cannot work with are a reason, not a crash.
#[test]
fn a_formula_that_cannot_answer_says_why() {
    let text =
        CLAIM.replace("\"quotient\"", "\"difference\"").replace("numerator", "part").replace("denominator", "whole");
    let library = read(&text).unwrap();
    let judgements = library.judge(&rooflint::claims::Evidence::default());
    let verdict = &judgements.last().unwrap().verdict;
    assert!(verdict.why().unwrap().contains("exceeds the whole by 2"), "{verdict:?}");
}
