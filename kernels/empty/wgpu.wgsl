// empty for WebGPU: one invocation per slot.
struct Range {
    slots: u32,
    token: u32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read_write> to: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < range.slots {
        to[16u * id.x] = range.token + id.x;
    }
}
