// What the kernels share that leave a sum of each of 256 chunks of a buffer (see memory_read/README.md). It precedes
// their texts; `clear` runs before their `main`. Needs GROUP (invocations of a work group).
const PARTS: u32 = 256u;

@group(0) @binding(2) var<storage, read_write> sums: array<atomic<u32>>;

var<workgroup> group_sum: atomic<u32>;

@compute @workgroup_size(GROUP)
fn clear(@builtin(local_invocation_index) lane: u32) {
    for (var part = lane; part < PARTS; part += GROUP) {
        atomicStore(&sums[part], 0u);
    }
}

// The first word of a chunk: floor(words * part / 256 / 16) * 16 without a product that overflows.
fn border(words: u32, part: u32) -> u32 {
    if part == PARTS {
        return words;
    }
    let whole = words / PARTS;
    let rest = words % PARTS;
    return (whole * part + rest * part / PARTS) / 16u * 16u;
}

// Invocations start with the work group's sum at zero …
fn begin(lane: u32) {
    if lane == 0u {
        atomicStore(&group_sum, 0u);
    }
    workgroupBarrier();
}

// … and end by adding theirs to that of a chunk.
fn give(lane: u32, chunk: u32, sum: u32) {
    atomicAdd(&group_sum, sum);
    workgroupBarrier();
    if lane == 0u {
        atomicAdd(&sums[chunk], atomicLoad(&group_sum));
    }
}
