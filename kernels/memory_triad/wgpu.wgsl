// memory_triad for WebGPU. The prefix made for each variant defines
// GROUP (invocations of a work group), TURNS, WIDTH (words of a pack), number (a pack of binary32).
struct Range {
    offset: u32, // packs before the range, in these bindings
    packs: u32,
    scalar: f32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read> b: array<number>;
@group(0) @binding(2) var<storage, read> c: array<number>;
@group(0) @binding(3) var<storage, read_write> to: array<number>;

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let scalar = range.scalar;
    let end = range.offset + range.packs;
    var at = range.offset + (group.x + group.y * groups.x) * (GROUP * 4u * TURNS) + lane;
    for (var turn = 0u; turn < TURNS; turn++) {
        if at + 3u * GROUP < end {
            // All loads before all stores: the compiler may not reorder them.
            let first = b[at] + scalar * c[at];
            let second = b[at + GROUP] + scalar * c[at + GROUP];
            let third = b[at + 2u * GROUP] + scalar * c[at + 2u * GROUP];
            let fourth = b[at + 3u * GROUP] + scalar * c[at + 3u * GROUP];
            to[at] = first;
            to[at + GROUP] = second;
            to[at + 2u * GROUP] = third;
            to[at + 3u * GROUP] = fourth;
        } else {
            for (var rest = at; rest < end; rest += GROUP) {
                to[rest] = b[rest] + scalar * c[rest];
            }
            return;
        }
        at += 4u * GROUP;
    }
}
