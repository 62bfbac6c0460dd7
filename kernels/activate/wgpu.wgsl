// activate for WebGPU: an invocation makes four numbers. The prefix made for each variant defines GROUP (invocations of a
// work group), GATED, how numbers lie in memory (`stored`, four of them), and `bias_at`, zero where there is no bias.
struct Part {
    packs: u32, // of a row of out
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> input: array<stored>;
@group(0) @binding(3) var<storage, read_write> out: array<stored>;

// 1 / (1 + e^-x). The bound keeps the exponential finite; past it the result is nothing beside any number of theirs.
fn logistic(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(min(-x, vec4<f32>(80.0))));
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pack = group.x * GROUP + lane;
    if pack >= part.packs {
        return;
    }
    var y: vec4<f32>;
    if GATED {
        let row = group.y * 2u * part.packs;
        let gate = unpack4(input[row + pack]) + bias_at(pack);
        let other = unpack4(input[row + part.packs + pack]) + bias_at(part.packs + pack);
        y = gate * logistic(gate) * other;
    } else {
        let x = unpack4(input[group.y * part.packs + pack]) + bias_at(pack);
        // (1 + tanh z) / 2 is the logistic function of 2 z.
        y = x * logistic(1.5957691216057308 * (x + 0.044715 * x * x * x));
    }
    out[group.y * part.packs + pack] = pack4(y);
}
