// add_norm for WebGPU: a work group takes a row. The prefix made for each variant defines GROUP (invocations of a work
// group, a square), SIDE (its root), LAYER, KEPT (packs of a row that work-group memory keeps: all, or one where a row is
// too long), how numbers lie in memory (`stored`, four of them), and what flags leave out: `added` (the sum before
// its rounding), `put_sum` (nothing without ADD) and `shift_at`.
struct Part {
    packs: u32, // of a row
    rows: u32,  // of this dispatch
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> input: array<stored>;
@group(0) @binding(4) var<storage, read> gain: array<stored>;
@group(0) @binding(7) var<storage, read_write> out: array<stored>;

var<workgroup> kept: array<stored, KEPT>;
var<workgroup> sums: array<f32, GROUP>;
var<workgroup> strips: array<f32, SIDE>;

// The sum of a work group's numbers, in all of its invocations.
fn total(lane: u32, number: f32) -> f32 {
    sums[lane] = number;
    workgroupBarrier();
    if lane < SIDE {
        var strip = 0.0;
        for (var i = 0u; i < SIDE; i++) {
            strip += sums[lane * SIDE + i];
        }
        strips[lane] = strip;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < SIDE; i++) {
        sum += strips[i];
    }
    return sum;
}

// A pack of the row, rounded as `sum` has it. What does not fit work-group memory is made again.
fn number_at(row: u32, pack: u32) -> vec4<f32> {
    if KEPT > 1u {
        return unpack4(kept[pack]);
    }
    return unpack4(pack4(added(row * part.packs + pack, pack)));
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= part.rows {
        return;
    }
    let width = f32(4u * part.packs);
    var sum = vec4<f32>();
    for (var pack = lane; pack < part.packs; pack += GROUP) {
        let rounded = pack4(added(row * part.packs + pack, pack));
        put_sum(row * part.packs + pack, rounded);
        if KEPT > 1u {
            kept[pack] = rounded;
        }
        let x = unpack4(rounded);
        sum += select(x * x, x, LAYER);
    }
    let all = total(lane, dot(sum, vec4<f32>(1.0)));
    var mean = 0.0;
    var square = all / width;
    if LAYER {
        mean = all / width;
        var about = vec4<f32>();
        for (var pack = lane; pack < part.packs; pack += GROUP) {
            let x = number_at(row, pack) - mean;
            about += x * x;
        }
        square = total(lane, dot(about, vec4<f32>(1.0))) / width;
    }
    let scale = 1.0 / sqrt(square + 1e-5);
    for (var pack = lane; pack < part.packs; pack += GROUP) {
        let x = (number_at(row, pack) - mean) * scale;
        out[row * part.packs + pack] = pack4(x * unpack4(gain[pack]) + shift_at(pack));
    }
}
