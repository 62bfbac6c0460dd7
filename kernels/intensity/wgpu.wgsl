// intensity for WebGPU: `clear` first, then `main`, once for every binding's worth of the input. A work group goes
// through 4 packs of each of its invocations; its steps run side by side.
// The prefix made for each variant defines
// GROUP (invocations of a work group), TURNS, WIDTH (words of a pack), pack, number, total().
// It stands behind chunks.wgsl.

struct Range {
    words: u32, // of the whole input
    start: u32, // first word of this dispatch's range
    end: u32,   // first word after it
    base: u32,  // first word of the binding
    chunk: u32, // first chunk of the range
    steps: u32,
    every: u32,
    factor: f32,
    even: f32,
    odd: f32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read> source: array<pack>;

// Whether the numbers of a pack take steps: all of a line of 16 do, or none.
fn steps_at(at: u32) -> bool {
    return (range.base / 16u + at * WIDTH / 16u) % range.every == 0u;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    begin(lane);
    let chunk = range.chunk + group.y;
    let start = max(border(range.words, chunk), range.start);
    let stop = max(min(border(range.words, chunk + 1u), range.end), start);
    let first = (start - range.base) / WIDTH;
    let end = first + (stop - start) / WIDTH;
    let factor = number(range.factor);
    let even = number(range.even);
    let odd = number(range.odd);
    var at = first + group.x * (GROUP * 4u * TURNS) + lane;
    var sum = pack();
    for (var turn = 0u; turn < TURNS; turn++) {
        if at >= end {
            break;
        }
        // Packs past the end are the last one again, and are not added.
        let last = end - 1u;
        let places = vec4<u32>(at, at + GROUP, at + 2u * GROUP, at + 3u * GROUP);
        let a0 = bitcast<number>(source[places.x]);
        let b0 = bitcast<number>(source[min(places.y, last)]);
        let c0 = bitcast<number>(source[min(places.z, last)]);
        let d0 = bitcast<number>(source[min(places.w, last)]);
        var a = a0;
        var b = b0;
        var c = c0;
        var d = d0;
        // Eight steps a turn: a turn's own cost, and a driver's count of turns, weigh little.
        for (var step_number = 0u; step_number < range.steps / 8u; step_number++) {
            a = fma(a, factor, even); b = fma(b, factor, even); c = fma(c, factor, even); d = fma(d, factor, even);
            a = fma(a, factor, odd); b = fma(b, factor, odd); c = fma(c, factor, odd); d = fma(d, factor, odd);
            a = fma(a, factor, even); b = fma(b, factor, even); c = fma(c, factor, even); d = fma(d, factor, even);
            a = fma(a, factor, odd); b = fma(b, factor, odd); c = fma(c, factor, odd); d = fma(d, factor, odd);
            a = fma(a, factor, even); b = fma(b, factor, even); c = fma(c, factor, even); d = fma(d, factor, even);
            a = fma(a, factor, odd); b = fma(b, factor, odd); c = fma(c, factor, odd); d = fma(d, factor, odd);
            a = fma(a, factor, even); b = fma(b, factor, even); c = fma(c, factor, even); d = fma(d, factor, even);
            a = fma(a, factor, odd); b = fma(b, factor, odd); c = fma(c, factor, odd); d = fma(d, factor, odd);
        }
        for (var rest = 0u; rest < range.steps % 8u; rest++) {
            let term = select(even, odd, choice(rest % 2u == 1u));
            a = fma(a, factor, term); b = fma(b, factor, term); c = fma(c, factor, term); d = fma(d, factor, term);
        }
        sum += bitcast<pack>(select(a0, a, choice(steps_at(places.x))));
        if places.y < end { sum += bitcast<pack>(select(b0, b, choice(steps_at(places.y)))); }
        if places.z < end { sum += bitcast<pack>(select(c0, c, choice(steps_at(places.z)))); }
        if places.w < end { sum += bitcast<pack>(select(d0, d, choice(steps_at(places.w)))); }
        at += 4u * GROUP;
    }
    give(lane, chunk, total(sum));
}
