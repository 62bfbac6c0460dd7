// attention_join for WebGPU: an invocation joins four numbers of a head. The prefix made for each variant defines GROUP
// (invocations of a work group) and how numbers lie in memory (`stored`, four of them).
struct Part {
    packs: u32,  // of a head
    items: u32,  // packs of all heads of all rows of this dispatch
    splits: u32,
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<stored>;

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = (group.x + group.y * groups.x) * GROUP + lane;
    if item >= part.items {
        return;
    }
    let stride = 4u * part.packs + 2u;
    let start = item / part.packs * part.splits * stride;
    let pack = 2u + item % part.packs * 4u;
    var top = -3.0e38;
    for (var band = 0u; band < part.splits; band++) {
        top = max(top, parts[start + band * stride]);
    }
    var weight = 0.0;
    var value = vec4<f32>();
    for (var band = 0u; band < part.splits; band++) {
        let at = start + band * stride;
        // An empty band has a sum of nothing, and a largest score that no language promises to compute with.
        let scale = select(0.0, exp(parts[at] - top), parts[at + 1u] > 0.0);
        weight += scale * parts[at + 1u];
        value += scale * vec4<f32>(parts[at + pack], parts[at + pack + 1u], parts[at + pack + 2u], parts[at + pack + 3u]);
    }
    out[item] = pack4(value / weight);
}
