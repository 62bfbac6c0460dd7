// memory_read for WebGPU: `clear` first, then `main`, once for every binding's worth of the input.
// The prefix made for each variant defines
// GROUP (invocations of a work group), TURNS, WIDTH (words of a pack), pack, total().
// It stands behind chunks.wgsl.

struct Range {
    words: u32, // of the whole input
    start: u32, // first word of this dispatch's range
    end: u32,   // first word after it
    base: u32,  // first word of the binding
    chunk: u32, // first chunk of the range
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read> source: array<pack>;

// One row of work groups per chunk; group.x is the slice of the chunk.
@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    begin(lane);
    let chunk = range.chunk + group.y;
    let start = max(border(range.words, chunk), range.start);
    let stop = max(min(border(range.words, chunk + 1u), range.end), start);
    let first = (start - range.base) / WIDTH;
    let end = first + (stop - start) / WIDTH;
    var at = first + group.x * (GROUP * 4u * TURNS) + lane;
    var sum = pack();
    for (var turn = 0u; turn < TURNS; turn++) {
        if at + 3u * GROUP < end {
            sum += (source[at] + source[at + GROUP]) + (source[at + 2u * GROUP] + source[at + 3u * GROUP]);
        } else {
            for (var rest = at; rest < end; rest += GROUP) {
                sum += source[rest];
            }
            break;
        }
        at += 4u * GROUP;
    }
    give(lane, chunk, total(sum));
}
