//! The decode step, against a transformer written out in binary64; its check, its cases, and what it refuses.

use rooflint::device::{Arg, BufferId, Device, Pattern, Program, Slot, Step};
use rooflint::llm::{self, DecodeShape, Layout, Model, Norm, Positions, Widths};
use rooflint::record::{AxisValue, Case, DeviceInfo, Precision};
use rooflint::suite::{CheckError, Profile};
use rooflint::units::ByteCount;

use crate::conformance::once;
use crate::cpu::open;
use crate::suite::{Held, find, request};

fn step_of(axes: &[(&'static str, AxisValue)]) -> Case {
    let usual = [
        ("model", AxisValue::from("stories_15m")),
        ("precision", "f32".into()),
        ("batch", 1_u64.into()),
        ("context", 16_u64.into()),
        ("layers", 2_u64.into()),
    ];
    let named = |name: &str| axes.iter().any(|(axis, _)| *axis == name);
    let usual = usual.into_iter().filter(|(name, _)| !named(name));
    Case::new("decode", usual.chain(axes.iter().cloned()), 42)
}

/// Steps that between them have every kind of layer and of KV cache.
fn steps() -> Vec<Case> {
    let count = AxisValue::Count;
    vec![
        step_of(&[]),
        step_of(&[("batch", count(3)), ("context", count(100)), ("precision", "bf16".into())]),
        step_of(&[("batch", count(2)), ("context", count(40)), ("precision", "f16".into()), ("page", count(16))]),
        step_of(&[("model", "smollm2_135m".into()), ("batch", count(2)), ("layers", count(3)), ("context", count(1))]),
        // Biases everywhere, LayerNorm, learned positions, no gate.
        step_of(&[("model", "gpt_2_124m".into()), ("batch", count(2)), ("context", count(33))]),
        step_of(&[("model", "gpt_2_124m".into()), ("precision", "bf16".into()), ("layers", count(1))]),
        // One GPU's share: heads and columns of three GPUs, and the last of two stages.
        step_of(&[("tensor", count(3)), ("batch", count(5)), ("context", count(17))]),
        step_of(&[("pipeline", count(2)), ("batch", count(2)), ("layers", count(2))]),
    ]
}

fn program_of(device: &mut dyn Device, case: &Case, option: usize) -> Program {
    let mut program = find("decode").prepare(case, device).unwrap();
    for step in &mut program.steps {
        let options = device.options(step).unwrap();
        *step = options[option.min(options.len() - 1)].clone();
    }
    program
}

/// Runs a step twice, so that what the first leaves behind must not matter, and gives its outputs.
fn outputs_of(device: &mut dyn Device, case: &Case, option: usize) -> (Program, Held) {
    let program = program_of(device, case, option);
    let recorded = device.record(&program).unwrap();
    for output in &program.outputs {
        device.fill(*output, Pattern::Poison).unwrap();
    }
    device.run(recorded, &once(2)).unwrap();
    let shape = shape_of(case);
    let size = precision_of(case).size();
    let batch = case.count("batch").unwrap();
    let widths = output_widths(&shape);
    let read = |(buffer, width): (&BufferId, &u64)| bytes(device, *buffer, batch * width * size);
    let held = program.outputs.iter().zip(&widths).map(read).collect();
    (program, Held(held))
}

fn bytes(device: &mut dyn Device, buffer: BufferId, count: u64) -> Vec<u8> {
    let mut bytes = vec![0; count as usize];
    device.read(buffer, ByteCount::ZERO, &mut bytes).unwrap();
    bytes
}

fn precision_of(case: &Case) -> Precision {
    case.word("precision").unwrap().parse().unwrap()
}

fn shape_of(case: &Case) -> DecodeShape {
    let ranks = |axis| case.count(axis).unwrap_or(1) as u32;
    let model = llm::find(case.word("model").unwrap()).unwrap();
    DecodeShape::new(&model, ranks("tensor"), ranks("pipeline"), case.count("layers")).unwrap()
}

/// Numbers of a row of each output: see `suite/decode/program.rs`.
fn output_widths(shape: &DecodeShape) -> Vec<u64> {
    let (hidden, attention) = (shape.hidden, shape.heads * shape.head_dim);
    let n = |id: &str| shape.product(id).unwrap().n;
    let mut widths = Vec::new();
    if shape.embeds {
        widths.push(hidden);
    }
    if shape.layers > 1 {
        widths.push(hidden);
    }
    widths.extend([hidden, n("qkv"), attention, attention, hidden, hidden, hidden, n("mlp_up"), shape.inner]);
    widths.extend([hidden, hidden, hidden, shape.vocab]);
    widths
}

/// Everything that a step reads, from the device, in the order in which the program binds it.
struct Buffers<'a> {
    device: &'a mut dyn Device,
    row: Vec<BufferId>,
    precision: Precision,
    next: usize,
}

impl Buffers<'_> {
    fn words(&mut self, count: u64) -> Vec<u32> {
        let bytes = bytes(self.device, self.row[self.next], 4 * count);
        self.next += 1;
        bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn numbers(&mut self, count: u64) -> Vec<f64> {
        let bytes = bytes(self.device, self.row[self.next], count * self.precision.size());
        self.next += 1;
        match self.precision {
            Precision::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Precision::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
            _ => bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f64()).collect(),
        }
    }
}

struct Layer {
    matrices: [Vec<f64>; 4],
    biases: [Vec<f64>; 4],
    gains: [Vec<f64>; 2],
    shifts: [Vec<f64>; 2],
}

fn normalised(norm: Norm, x: &[f64], gain: &[f64], shift: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    match norm {
        Norm::Rms => {
            let root = (x.iter().map(|x| x * x).sum::<f64>() / n + 1e-5).sqrt();
            x.iter().zip(gain).map(|(x, g)| x / root * g).collect()
        }
        Norm::Layer => {
            let mean = x.iter().sum::<f64>() / n;
            let root = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n + 1e-5).sqrt();
            x.iter().zip(gain).zip(shift).map(|((x, g), s)| (x - mean) / root * g + s).collect()
        }
    }
}

/// `x W + b` with `W` stored `[k, n]`.
fn linear(x: &[f64], matrix: &[f64], bias: &[f64]) -> Vec<f64> {
    let n = matrix.len() / x.len();
    let mut out = vec![0.0; n];
    for (k, x) in x.iter().enumerate() {
        for (out, weight) in out.iter_mut().zip(&matrix[k * n..]) {
            *out += x * weight;
        }
    }
    out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
    out
}

fn plus(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

/// Turns the halves of every head against each other by the angles of a position.
fn rotary(x: &[f64], dim: usize, position: u64) -> Vec<f64> {
    let mut out = x.to_vec();
    for head in out.chunks_mut(dim) {
        for pair in 0..dim / 2 {
            let angle = position as f64 / 10_000_f64.powf(2.0 * pair as f64 / dim as f64);
            let (x, y) = (head[pair], head[pair + dim / 2]);
            head[pair] = x * angle.cos() - y * angle.sin();
            head[pair + dim / 2] = y * angle.cos() + x * angle.sin();
        }
    }
    out
}

/// The logits of every sequence, by a transformer written for clarity.
fn plain_step(device: &mut dyn Device, case: &Case, program: &Program) -> Vec<Vec<f64>> {
    let shape = shape_of(case);
    let [batch, context] = ["batch", "context"].map(|axis| case.count(axis).unwrap());
    let mut buffers = Buffers { device, row: program.bindings[0].clone(), precision: precision_of(case), next: 0 };
    let optional = |is_there: bool, count: u64| if is_there { count } else { 0 };
    let (hidden, layer_norm) = (shape.hidden, shape.norm == Norm::Layer);
    let table = buffers.numbers(optional(shape.embeds, shape.vocab * hidden));
    let positions = buffers.numbers(optional(shape.embeds, shape.positions * hidden));
    buffers.next += 2;
    let final_gain = buffers.numbers(hidden);
    let final_shift = buffers.numbers(optional(layer_norm, hidden));
    let head = buffers.numbers(shape.vocab * hidden);
    let ids = ["qkv", "attention_output", "mlp_up", "mlp_down"];
    let layers: Vec<Layer> = (0..shape.layers)
        .map(|_| Layer {
            matrices: ids.map(|id| shape.product(id).unwrap()).map(|product| buffers.numbers(product.n * product.k)),
            biases: ids.map(|id| buffers.numbers(optional(shape.has_bias(id), shape.product(id).unwrap().n))),
            gains: [0, 1].map(|_| buffers.numbers(hidden)),
            shifts: [0, 1].map(|_| buffers.numbers(optional(layer_norm, hidden))),
        })
        .collect();
    let entries = buffers.numbers(optional(!shape.embeds, batch * hidden));
    buffers.next += 16;
    let tokens = buffers.words(batch);
    buffers.next += 1;
    let page = match case.count("page").unwrap_or(0) {
        0 => context.next_multiple_of(16),
        page => page,
    };
    let each = context.div_ceil(page);
    let pages = buffers.words(batch * each);
    buffers.next += 1;
    let cache_numbers = batch * each * page * shape.kv_heads * shape.head_dim;
    let caches: Vec<[Vec<f64>; 2]> =
        (0..shape.layers).map(|_| [0, 1].map(|_| buffers.numbers(cache_numbers))).collect();

    let dim = shape.head_dim as usize;
    let sequence = |sequence: u64| {
        let row = |table: &[f64], row: u64| table[(row * hidden) as usize..((row + 1) * hidden) as usize].to_vec();
        let mut x = if shape.embeds { row(&table, tokens[sequence as usize].into()) } else { row(&entries, sequence) };
        if shape.embeds && shape.positions > 0 {
            x = plus(&x, &row(&positions, context - 1));
        }
        for (layer, [keys, values]) in layers.iter().zip(&caches) {
            let [qkv, output, up, down] = &layer.matrices;
            let [qkv_bias, output_bias, up_bias, down_bias] = &layer.biases;
            let normed = normalised(shape.norm, &x, &layer.gains[0], &layer.shifts[0]);
            let all = linear(&normed, qkv, qkv_bias);
            let (q, kv) = all.split_at((shape.heads * shape.head_dim) as usize);
            let (k, v) = kv.split_at(kv.len() / 2);
            let turn = |x: &[f64]| if shape.positions > 0 { x.to_vec() } else { rotary(x, dim, context - 1) };
            let (q, k) = (turn(q), turn(k));
            let mut attended = Vec::new();
            for head in 0..shape.heads {
                let group = head * shape.kv_heads / shape.heads;
                let first = context - shape.seen(context);
                let vector = |cache: &[f64], own: &[f64], token: u64| {
                    if token == context - 1 {
                        return own[group as usize * dim..][..dim].to_vec();
                    }
                    let page_number = u64::from(pages[(sequence * each + token / page) as usize]);
                    let at = ((page_number * shape.kv_heads + group) * page + token % page) * shape.head_dim;
                    cache[at as usize..][..dim].to_vec()
                };
                let query = &q[head as usize * dim..][..dim];
                let dot = |key: &[f64]| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
                let scores: Vec<f64> =
                    (first..context).map(|token| dot(&vector(keys, &k, token)) / (dim as f64).sqrt()).collect();
                let most = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let total: f64 = weights.iter().sum();
                let mut sum = vec![0.0; dim];
                for (token, weight) in (first..context).zip(&weights) {
                    let value = vector(values, v, token);
                    sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += weight / total * value);
                }
                attended.extend(sum);
            }
            x = plus(&x, &linear(&attended, output, output_bias));
            let normed = normalised(shape.norm, &x, &layer.gains[1], &layer.shifts[1]);
            let inner = linear(&normed, up, up_bias);
            let active: Vec<f64> = if shape.gated {
                let (gate, up) = inner.split_at(inner.len() / 2);
                gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
            } else {
                let tanh = |x: f64| ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh();
                inner.iter().map(|x| 0.5 * x * (1.0 + tanh(*x))).collect()
            };
            x = plus(&x, &linear(&active, down, down_bias));
        }
        linear(&normalised(shape.norm, &x, &final_gain, &final_shift), &head, &[])
    };
    (0..batch).map(sequence).collect()
}

/// The length of the difference as a share of the reference's.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    assert_eq!(found.len(), expected.len());
    length(&mut found.iter().zip(expected).map(|(f, e)| f - e)) / length(&mut expected.iter().copied())
}

/// Compares the logits of a step on a device with the plain transformer's; `None` where the device has no such step.
pub fn compare(device: &mut dyn Device, case: &Case, option: usize) {
    let (program, held) = outputs_of(device, case, option);
    find("decode").check(case, &mut held.clone()).unwrap_or_else(|error| panic!("{}: {error}", case.key()));
    let expected = plain_step(device, case, &program);
    let precision = precision_of(case);
    let logits = held.0.last().unwrap().chunks(held.0.last().unwrap().len() / expected.len());
    // A few rounding errors of the format, of some dozen operations.
    let tolerance = match precision {
        Precision::F32 => 2e-5,
        Precision::F16 => 4e-3,
        _ => 3e-2,
    };
    for (sequence, (found, expected)) in logits.zip(&expected).enumerate() {
        let found: Vec<f64> = match precision {
            Precision::F32 => found.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Precision::F16 => found.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
            _ => found.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f64()).collect(),
        };
        let apart = apart(&found, expected);
        assert!(apart <= tolerance, "{} sequence {sequence}: {apart:e} apart", case.key());
    }
}

#[test]
fn every_step_is_that_of_a_plain_transformer() {
    let mut cpu = open();
    for case in steps() {
        let mark = cpu.mark();
        compare(cpu.as_mut(), &case, 0);
        cpu.release(mark).unwrap();
    }
}

#[test]
fn every_way_to_run_an_operation_gives_the_same_step() {
    let mut cpu = open();
    for option in 1..5 {
        let mark = cpu.mark();
        compare(cpu.as_mut(), &steps()[1], option);
        cpu.release(mark).unwrap();
    }
}

#[test]
fn a_spoiled_output_of_any_operation_is_rejected() {
    let mut cpu = open();
    for case in [steps()[1].clone(), steps()[4].clone()] {
        let mark = cpu.mark();
        let (_, right) = outputs_of(cpu.as_mut(), &case, 0);
        let batch = case.count("batch").unwrap() as usize;
        for index in 0..right.0.len() {
            // The last sequence is always among those that are checked; of products the last column is.
            let size = right.0[index].len();
            for (name, spoil) in [("zeroed", 0_u8), ("poisoned", 0xff)] {
                let mut spoiled = right.clone();
                spoiled.0[index][size - size / batch..].fill(spoil);
                let verdict = find("decode").check(&case, &mut spoiled);
                assert!(matches!(verdict, Err(CheckError::Wrong(_))), "output {index} {name}: {verdict:?}");
            }
            let mut spoiled = right.clone();
            // The upper byte: an exponent off by a bit, or two.
            spoiled.0[index][size - 1] ^= 1;
            let verdict = find("decode").check(&case, &mut spoiled);
            assert!(matches!(verdict, Err(CheckError::Wrong(_))), "output {index}, last number off: {verdict:?}");
        }
        cpu.release(mark).unwrap();
    }
}

/// Runs a program that was changed by hand, and expects its check to fail.
fn assert_program_wrong(case: &Case, what: &str, change: impl FnOnce(&mut Program)) {
    let mut cpu = open();
    let mut program = program_of(cpu.as_mut(), case, 0);
    change(&mut program);
    let recorded = cpu.record(&program).unwrap();
    cpu.run(recorded, &once(1)).unwrap();
    let (size, batch) = (precision_of(case).size(), case.count("batch").unwrap());
    let widths = output_widths(&shape_of(case));
    let read = |(buffer, width): (&BufferId, &u64)| bytes(cpu.as_mut(), *buffer, batch * width * size);
    let held: Vec<Vec<u8>> = program.outputs.iter().zip(&widths).map(read).collect();
    let verdict = find("decode").check(case, &mut Held(held));
    assert!(matches!(verdict, Err(CheckError::Wrong(_))), "{what}: {verdict:?}");
}

#[test]
fn a_step_with_wrong_wiring_is_rejected() {
    let case = step_of(&[("precision", "bf16".into()), ("layers", 4_u64.into()), ("context", 200_u64.into())]);
    // Layer 1 reads layer 0's matrices, only in layers whose own outputs are not kept.
    assert_program_wrong(&case, "another layer's weights", |program| {
        let mut products: Vec<&mut Step> = program.steps.iter_mut().filter(|step| step.name() == "matmul").collect();
        let Step::Matmul { b: first, .. } = *products[2] else { panic!() };
        let Step::Matmul { b, .. } = &mut *products[6] else { panic!() };
        *b = first;
    });
    assert_program_wrong(&case, "another layer's cache", |program| {
        let keys = program.steps.iter().filter(|step| step.name() == "attention").map(|step| match step {
            Step::Launch { args, .. } => args[1],
            _ => panic!(),
        });
        let keys: Vec<Arg> = keys.collect();
        let mut launches = program.steps.iter_mut().filter(|step| step.name() == "attention");
        let Step::Launch { args, .. } = launches.nth(1).unwrap() else { panic!() };
        args[1] = keys[0];
    });
    // One token of two hundred is left out, of the last layer only.
    assert_program_wrong(&case, "a token short", |program| {
        let launch = program.steps.iter_mut().rfind(|step| step.name() == "attention").unwrap();
        let Step::Launch { args, .. } = launch else { panic!() };
        args[10] = Arg::U64(1);
    });
    assert_program_wrong(&case, "not appended", |program| {
        let rotate = program.steps.iter_mut().rfind(|step| step.name() == "rotate").unwrap();
        let Step::Launch { args, .. } = rotate else { panic!() };
        args[11] = Arg::U64(3);
    });
    assert_program_wrong(&case, "no residual", |program| {
        let norm = program.steps.iter_mut().filter(|step| step.name() == "add_norm").nth(3).unwrap();
        let Step::Launch { args, .. } = norm else { panic!() };
        args[0] = args[1];
    });
}

#[test]
fn the_list_of_models_is_that_of_the_catalogue() {
    let axis = find("decode").meta().axes.iter().find(|axis| axis.name == "model").unwrap();
    let can = |model: &Model| DecodeShape::new(model, 1, 1, None).is_ok();
    let mut known: Vec<String> =
        llm::catalogue().unwrap().iter().filter(|model| can(model)).map(|m| m.id.clone()).collect();
    let mut listed: Vec<String> = axis.words.iter().map(|word| (*word).to_owned()).collect();
    let sizes: Vec<u64> = listed.iter().map(|id| llm::find(id).unwrap().parameters()).collect();
    assert!(sizes.is_sorted(), "models are listed from small to large");
    known.sort();
    listed.sort();
    assert_eq!(known, listed);
    for (id, what) in [("mixtral_8x7b", "experts"), ("gopher_280b", "relative")] {
        let error = DecodeShape::new(&llm::find(id).unwrap(), 1, 1, None).unwrap_err().to_string();
        assert!(error.contains(id) && error.contains(what), "{error}");
    }
}

#[test]
fn a_step_counts_what_the_cost_model_counts() {
    for model in llm::catalogue().unwrap() {
        let Ok(shape) = DecodeShape::new(&model, 1, 1, None) else { continue };
        for (batch, context) in [(1_u64, 1_u64), (7, 900), (64, 5000)] {
            let step = llm::Step { sequences: batch, queries: 1, cached: context - 1, experts_read: 0.0 };
            let widths = Widths { weight_b: 1.0, kv_b: 1.0, activation_b: 0.0 };
            let count = model.step(&step, Layout::new(1, 1).unwrap(), widths).unwrap();
            let operations = shape.operations(batch, context);
            let sum =
                |of: fn(&llm::DecodeOperation) -> u64| operations.iter().map(|o| o.instances * of(o)).sum::<u64>();
            // The head is padded to whole packs; positions are one row for all sequences.
            let padding = (shape.vocab - u64::from(model.vocab)) * shape.hidden;
            let flop = sum(|operation| operation.flop) - 2 * batch * padding;
            assert_eq!(flop as f64, count.flop(), "{}", model.id);
            let learned = matches!(model.positions, Positions::Learned(_));
            let shared = if learned { (batch - 1) * shape.hidden } else { 0 };
            assert_eq!((sum(|o| o.weights) - padding + shared) as f64, count.weights_b(), "{}", model.id);
            assert_eq!(sum(|o| o.kv_read) as f64, count.kv_read_b(), "{}", model.id);
            assert_eq!(sum(|o| o.kv_written) as f64, count.kv_written_b(), "{}", model.id);
        }
    }
}

#[test]
fn a_share_of_every_gpu_is_the_whole() {
    let model = llm::find("llama_3_1_8b").unwrap();
    let whole = DecodeShape::new(&model, 1, 1, None).unwrap();
    let share = DecodeShape::new(&model, 4, 2, None).unwrap();
    assert_eq!((share.layers, share.heads, share.kv_heads, share.embeds), (16, 8, 2, false));
    let flop = |shape: &DecodeShape, id: &str| {
        let operation = shape.operations(8, 512).into_iter().find(|operation| operation.id == id).unwrap();
        operation.instances * operation.flop
    };
    for id in ["qkv", "attention", "attention_output", "mlp_up", "mlp_down"] {
        assert_eq!(8 * flop(&share, id), flop(&whole, id), "{id}");
    }
    assert_eq!(4 * flop(&share, "head"), flop(&whole, "head"));
}

fn host(memory_b: u64) -> DeviceInfo {
    DeviceInfo { memory_b: Some(ByteCount(memory_b)), ..open().info().clone() }
}

#[test]
fn a_small_device_gets_a_small_model_and_few_layers() {
    let models = |memory: u64, profile: Profile| {
        let cases = find("decode").cases(&host(memory), &request(profile, &[]));
        let mut names: Vec<String> = cases.iter().map(|case| case.word("model").unwrap().to_owned()).collect();
        names.dedup();
        assert!(cases.iter().all(|case| find("decode").refuses(&host(memory), case).is_none()));
        names
    };
    assert_eq!(models(16 << 30, Profile::Standard), ["smollm2_135m", "llama_3_2_1b"]);
    assert_eq!(models(1 << 30, Profile::Standard), ["smollm2_135m", "smollm2_360m"]);
    assert_eq!(models(16 << 30, Profile::Quick), ["smollm2_135m"]);
    assert_eq!(models(100 << 20, Profile::Quick), ["stories_15m"]);
    // A model that does not fit is measured with the layers that do.
    let large = request(Profile::Quick, &[("model", vec!["llama_2_70b".into()]), ("batch", vec![1_u64.into()])]);
    let cases = find("decode").cases(&host(16 << 30), &large);
    let layers: Vec<u64> = cases.iter().map(|case| case.count("layers").unwrap()).collect();
    assert!(layers[0] > 1 && layers[0] < 10 && layers.contains(&(layers[0] / 2)), "{layers:?}");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let count = AxisValue::Count;
    let refusal = |axes: &[(&'static str, AxisValue)], parts: &[&str]| {
        let reason = find("decode").refuses(&host(16 << 30), &step_of(axes)).expect("a refusal");
        for part in parts {
            assert!(reason.contains(part), "{part} is not in: {reason}");
        }
    };
    refusal(&[("context", count(300))], &["256", "300"]);
    refusal(&[("tensor", count(4))], &["6 KV heads", "1, 2, 3, 6"]);
    refusal(&[("layers", count(7))], &["layers is 7", "6"]);
    refusal(&[("page", count(24))], &["16", "24"]);
    refusal(
        &[("model", "llama_2_70b".into()), ("layers", count(80)), ("precision", "bf16".into())],
        &["needs 128.5 GiB", "more than", "tensor="],
    );
    refusal(
        &[("model", "llama_3_1_8b".into()), ("batch", count(4096)), ("context", count(131_072))],
        &["needs", "GiB"],
    );
}

#[test]
fn slots_are_told_apart_from_what_a_step_does() {
    let launch = |slot: u32, rows: u64| Step::launch("activate", vec![Arg::Buffer(Slot(slot)), Arg::U64(rows)]);
    assert_eq!(launch(1, 5).unbound(), launch(2, 5).unbound());
    assert_ne!(launch(1, 5).unbound(), launch(1, 6).unbound());
    let Step::Launch { args, .. } = launch(1, 5).in_the_way_of(&launch(2, 5)) else { panic!() };
    assert_eq!(args[0], Arg::Buffer(Slot(1)));
}

#[test]
fn gpus_compute_the_same_step() {
    let count = AxisValue::Count;
    let cases = [
        step_of(&[("layers", count(2)), ("batch", count(2)), ("context", count(20)), ("page", count(16))]),
        step_of(&[("layers", count(1)), ("precision", "f16".into()), ("context", count(9))]),
        step_of(&[("layers", count(1)), ("precision", "bf16".into()), ("tensor", count(3)), ("batch", count(3))]),
    ];
    crate::decode_launch::each_device(|device| {
        for case in &cases {
            let mark = device.mark();
            compare(device, case, 0);
            device.release(mark).unwrap();
        }
    });
}
