// memory_write for WebGPU. The prefix made for each variant defines
// GROUP (invocations of a work group), TURNS, WIDTH (words of a pack), pack, counting().
struct Range {
    offset: u32, // packs before the range, in this binding
    packs: u32,
    first: u32,  // what the range's first word becomes
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read_write> to: array<pack>;

fn put(at: u32) {
    to[range.offset + at] = counting(range.first + at * WIDTH);
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var at = (group.x + group.y * groups.x) * (GROUP * 4u * TURNS) + lane;
    for (var turn = 0u; turn < TURNS; turn++) {
        if at + 3u * GROUP < range.packs {
            put(at);
            put(at + GROUP);
            put(at + 2u * GROUP);
            put(at + 3u * GROUP);
        } else {
            for (var rest = at; rest < range.packs; rest += GROUP) {
                put(rest);
            }
            return;
        }
        at += 4u * GROUP;
    }
}
