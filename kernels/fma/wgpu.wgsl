// fma for WebGPU. An invocation runs CHAINS packs of four lanes side by side.
// The prefix made for each variant and format defines
// GROUP (invocations of a work group), CHAINS (1, 2 or 4), number (one lane), pack (four), start_of(lane),
// advance(x, factor, term), constant(low, high).
struct Range {
    lanes: u32,
    first: u32,      // lane of the binding's first number
    iterations: u32,
    factor_low: u32,
    factor_high: u32,
    term_low: u32,
    term_high: u32,
}

@group(0) @binding(0) var<uniform> range: Range;
@group(0) @binding(1) var<storage, read_write> to: array<number>;

fn starts_of(lane: u32) -> pack {
    return pack(start_of(lane), start_of(lane + 1u), start_of(lane + 2u), start_of(lane + 3u));
}

fn put(at: u32, x: pack) {
    if at < range.lanes { to[at] = x.x; }
    if at + 1u < range.lanes { to[at + 1u] = x.y; }
    if at + 2u < range.lanes { to[at + 2u] = x.z; }
    if at + 3u < range.lanes { to[at + 3u] = x.w; }
}

@compute @workgroup_size(GROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let factor = pack(constant(range.factor_low, range.factor_high));
    let term = pack(constant(range.term_low, range.term_high));
    let at = ((group.x + group.y * groups.x) * GROUP * CHAINS + lane) * 4u;
    let next = GROUP * 4u;
    var a = starts_of(range.first + at);
    var b = starts_of(range.first + at + next);
    var c = starts_of(range.first + at + 2u * next);
    var d = starts_of(range.first + at + 3u * next);
    // Eight steps a turn: a turn's own cost, and a driver's count of turns, weigh little.
    for (var turn = 0u; turn < range.iterations / 8u; turn++) {
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
    }
    for (var rest = 0u; rest < range.iterations % 8u; rest++) {
        a = advance(a, factor, term);
        if CHAINS > 1u { b = advance(b, factor, term); }
        if CHAINS > 2u { c = advance(c, factor, term); d = advance(d, factor, term); }
    }
    put(at, a);
    if CHAINS > 1u { put(at + next, b); }
    if CHAINS > 2u { put(at + 2u * next, c); put(at + 3u * next, d); }
}
