// chase for WebGPU: one work group of one invocation per chain.
struct Range {
    steps: u32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read> cycle: array<u32>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> to: array<u32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) chain: vec3<u32>) {
    var at = starts[16u * chain.x];
    var sum = 0u;
    // Eight accesses a turn: a turn's own cost, and a driver's count of turns, weigh little.
    for (var turn = 0u; turn < range.steps / 8u; turn++) {
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
        at = cycle[at / 4u]; sum += at;
    }
    for (var rest = 0u; rest < range.steps % 8u; rest++) {
        at = cycle[at / 4u];
        sum += at;
    }
    to[16u * chain.x] = at;
    to[16u * chain.x + 1u] = sum;
}
