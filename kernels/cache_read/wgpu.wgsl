// cache_read for WebGPU: `clear` first, then `main`, a work group for every unit; again where the passes or the
// working set need several dispatches.
// The prefix made for each variant defines GROUP (invocations of a work group, a multiple of 4).
struct Range {
    words: u32,  // of the whole working set
    units: u32,
    first: u32,  // unit of the first work group
    passes: u32, // of this dispatch
    shared_set: u32,
    base: u32,   // first word of the binding
    zero: u32,   // 0, which the compiler does not know
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> sums: array<atomic<u32>>;

var<workgroup> group_sums: array<atomic<u32>, 16>;

@compute @workgroup_size(GROUP)
fn clear(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var at = group.x * GROUP + lane; at < 16u * range.units; at += groups.x * GROUP) {
        atomicStore(&sums[at], 0u);
    }
}

// floor(words * unit / units / 16) * 16 without a product that overflows.
fn border(unit: u32) -> u32 {
    if unit == range.units {
        return range.words;
    }
    let whole = range.words / range.units;
    let rest = range.words % range.units;
    return (whole * unit + rest * unit / range.units) / 16u * 16u;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if lane < 16u {
        atomicStore(&group_sums[lane], 0u);
    }
    workgroupBarrier();
    let unit = range.first + group.x;
    var start = 0u;
    var stop = range.words;
    if range.shared_set == 0u {
        start = border(unit);
        stop = border(unit + 1u);
    }
    // Packs of four words: GROUP is a multiple of four, so an invocation stays at its place in a line.
    let first = (start - range.base) / 4u + lane;
    let end = (start - range.base) / 4u + (stop - start) / 4u;
    // Units that read the same begin at different places, and go around.
    var skip = 0u;
    if range.shared_set != 0u {
        skip = (end - (first - lane)) / range.units * unit / GROUP * GROUP;
    }
    var sum = vec4<u32>();
    for (var pass_number = 0u; pass_number < range.passes; pass_number++) {
        // A place that the compiler cannot tell from the last pass's: else it may read once and multiply.
        let begin = first + (pass_number & range.zero);
        for (var part = 0u; part < 2u; part++) {
            var at = select(begin, begin + skip, part == 0u);
            let stop_at = select(begin - lane + skip, end, part == 0u);
            for (; at + 3u * GROUP < stop_at; at += 4u * GROUP) {
                sum += (source[at] + source[at + GROUP]) + (source[at + 2u * GROUP] + source[at + 3u * GROUP]);
            }
            for (; at < stop_at; at += GROUP) {
                sum += source[at];
            }
        }
    }
    // Words that fill no pack.
    let rest = (stop - start) % 4u;
    if rest > 0u && lane == (stop - start) / 4u % 4u {
        let last = source[end] * range.passes;
        sum.x += last.x;
        if rest > 1u { sum.y += last.y; }
        if rest > 2u { sum.z += last.z; }
    }
    let place = lane % 4u * 4u;
    atomicAdd(&group_sums[place], sum.x);
    atomicAdd(&group_sums[place + 1u], sum.y);
    atomicAdd(&group_sums[place + 2u], sum.z);
    atomicAdd(&group_sums[place + 3u], sum.w);
    workgroupBarrier();
    if lane < 16u {
        atomicAdd(&sums[16u * unit + lane], atomicLoad(&group_sums[lane]));
    }
}
