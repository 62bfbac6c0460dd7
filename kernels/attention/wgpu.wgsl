// attention for WebGPU: a work group takes some heads that share a KV head, for one sequence and one band of its tokens,
// and reads each key and value once for all of them. Tokens go by tiles: four invocations share a key and each makes a
// part of its scores; one then makes a weight of a score; and then an invocation adds four numbers of some values to the sum
// of every head. The largest score so far is the work group's; sums are scaled down when it grows.
//
// The prefix made for each variant defines GROUP (invocations of a work group, a multiple of 4), HEADS (that it takes),
// PACKS (of four numbers, of a head), TILE (tokens) and how numbers lie in memory (`stored`, four of them). Entry
// `whole` writes `out`, `band` writes `parts`.
struct Part {
    rows: u32,        // of this dispatch
    first_row: u32,   // rows before them
    kv_heads: u32,
    shared_by: u32,   // heads that share a KV head
    groups: u32,      // of HEADS of them
    first: u32,       // token
    context: u32,
    page: u32,
    pages_each: u32,
    splits: u32,
    band: u32,        // tokens of a band
    unit_first: u32,  // of the cache before its bindings, a unit being what a page has of one KV head
    units: u32,       // in its bindings
    scale: f32,       // of scores
    nothing: u32,     // minus infinity, which no text may hold
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> q: array<stored>;
@group(0) @binding(2) var<storage, read> keys: array<stored>;
@group(0) @binding(3) var<storage, read> values: array<stored>;
@group(0) @binding(4) var<storage, read> pages: array<u32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<stored>;

const LOWEST: f32 = -3.0e38;
// Invocations that add up the same four numbers, of different tokens.
const COLUMNS: u32 = GROUP / PACKS;
// Scores of a tile that an invocation makes weights of.
const SCORES: u32 = (HEADS * TILE + GROUP - 1u) / GROUP;
const ROOM: u32 = max(HEADS * TILE, GROUP);

var<workgroup> queries: array<vec4<f32>, HEADS * PACKS>;
var<workgroup> products: array<vec4<f32>, ROOM>; // of heads and tokens, in four parts
var<workgroup> weights: array<f32, ROOM>;        // of heads and tokens
var<workgroup> bases: array<u32, TILE>;          // packs before each token's key, and its value
var<workgroup> tops: array<atomic<u32>, HEADS>;  // the largest score so far

// Numbers as words that compare alike.
fn ordered(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn top_of(head: u32) -> f32 {
    let word = atomicLoad(&tops[head]);
    return bitcast<f32>(select(~word, word & 0x7fffffffu, (word >> 31u) == 1u));
}

// What a work group works on.
struct Item {
    row: u32,
    kv_head: u32,
    head: u32,  // the first
    heads: u32, // up to HEADS
    split: u32,
    begin: u32, // tokens
    end: u32,
}

fn item_of(number: u32) -> Item {
    let split = number % part.splits;
    let group = number / part.splits % part.groups;
    let pair = number / (part.splits * part.groups);
    let kv_head = pair % part.kv_heads;
    let begin = part.first + split * part.band;
    return Item(
        pair / part.kv_heads,
        kv_head,
        kv_head * part.shared_by + group * HEADS,
        min(HEADS, part.shared_by - group * HEADS),
        split,
        begin,
        min(begin + part.band, part.context),
    );
}

// The unit of the cache that holds a token, in these bindings.
fn unit_of(item: Item, token: u32) -> u32 {
    let page = pages[(part.first_row + item.row) * part.pages_each + token / part.page];
    return page * part.kv_heads + item.kv_head - part.unit_first;
}

// Packs before a token's key. No page leads outside the bindings.
fn base_of(item: Item, token: u32) -> u32 {
    return (min(unit_of(item, token), part.units - 1u) * part.page + token % part.page) * PACKS;
}

// The largest score, the sum of weights and the sum of weighted values of each head, the sums in parts: of each invocation.
struct Sums {
    top: array<f32, HEADS>,
    weight: array<f32, HEADS>,
    value: array<vec4<f32>, HEADS>,
}

// The parts of a tile's scores.
fn multiply(item: Item, tile: u32, lane: u32) {
    for (var at = lane / 4u; at < TILE; at += GROUP / 4u) {
        let base = base_of(item, min(tile + at, item.end - 1u));
        var sums = array<f32, HEADS>();
        for (var pack = lane % 4u; pack < PACKS; pack += 4u) {
            let key = unpack4(keys[base + pack]);
            for (var head = 0u; head < HEADS; head++) {
                sums[head] += dot(key, queries[head * PACKS + pack]);
            }
        }
        for (var head = 0u; head < HEADS; head++) {
            products[head * TILE + at][lane % 4u] = sums[head];
        }
    }
}

// A tile's weights. Tokens behind the last have none.
fn weigh(item: Item, tile: u32, lane: u32) {
    workgroupBarrier();
    for (var at = lane; at < TILE; at += GROUP) {
        bases[at] = base_of(item, min(tile + at, item.end - 1u));
    }
    var scores = array<f32, SCORES>();
    for (var i = 0u; i < SCORES; i++) {
        let at = lane + i * GROUP;
        if at < HEADS * TILE {
            scores[i] = dot(products[at], vec4<f32>(1.0));
            if tile + at % TILE < item.end {
                atomicMax(&tops[at / TILE], ordered(scores[i]));
            }
        }
    }
    workgroupBarrier();
    for (var i = 0u; i < SCORES; i++) {
        let at = lane + i * GROUP;
        if at < HEADS * TILE {
            weights[at] = select(0.0, exp(scores[i] - top_of(at / TILE)), tile + at % TILE < item.end);
        }
    }
    workgroupBarrier();
}

// Adds a tile's weighted values.
fn gather(sums: ptr<function, Sums>, lane: u32) {
    if lane >= COLUMNS * PACKS {
        return;
    }
    for (var head = 0u; head < HEADS; head++) {
        let top = top_of(head);
        let scale = exp((*sums).top[head] - top);
        (*sums).top[head] = top;
        (*sums).weight[head] *= scale;
        (*sums).value[head] *= scale;
    }
    for (var at = lane / PACKS; at < TILE; at += COLUMNS) {
        let value = unpack4(values[bases[at] + lane % PACKS]);
        for (var head = 0u; head < HEADS; head++) {
            let weight = weights[head * TILE + at];
            (*sums).weight[head] += weight;
            (*sums).value[head] += weight * value;
        }
    }
}

fn attend(item: Item, lane: u32) -> Sums {
    let start = (item.row * part.kv_heads * part.shared_by + item.head) * PACKS;
    for (var at = lane; at < HEADS * PACKS; at += GROUP) {
        // Heads past the last repeat it, and are not written.
        let head = min(at / PACKS, item.heads - 1u);
        queries[at] = part.scale * unpack4(q[start + head * PACKS + at % PACKS]);
    }
    if lane < HEADS {
        atomicStore(&tops[lane], 0u);
    }
    var sums = Sums();
    for (var head = 0u; head < HEADS; head++) {
        sums.top[head] = LOWEST;
    }
    workgroupBarrier();
    for (var tile = item.begin; tile < item.end; tile += TILE) {
        multiply(item, tile, lane);
        weigh(item, tile, lane);
        gather(&sums, lane);
    }
    return sums;
}

// A head's sums, whole: the weights' and the four values' of the invocation's pack, in the first PACKS invocations.
struct Whole {
    weight: f32,
    value: vec4<f32>,
}

fn whole_of(lane: u32, weight: f32, value: vec4<f32>) -> Whole {
    workgroupBarrier();
    weights[lane] = weight;
    products[lane] = value;
    workgroupBarrier();
    var all = Whole(0.0, vec4<f32>());
    for (var column = 0u; column < COLUMNS; column++) {
        all.weight += weights[column * PACKS + lane % PACKS];
        all.value += products[column * PACKS + lane % PACKS];
    }
    return all;
}

// Whether there is work in these bindings: that of another part of the cache is another dispatch's.
fn is_here(number: u32, item: Item) -> bool {
    let all = part.rows * part.kv_heads * part.groups * part.splits;
    return number < all && (part.pages_each > 1u || unit_of(item, 0u) < part.units);
}

@compute @workgroup_size(GROUP)
fn whole(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.x + group.y * groups.x;
    let item = item_of(number);
    if !is_here(number, item) {
        return;
    }
    let sums = attend(item, lane);
    let first = item.row * part.kv_heads * part.shared_by + item.head;
    for (var head = 0u; head < HEADS; head++) {
        let all = whole_of(lane, sums.weight[head], sums.value[head]);
        if lane < PACKS && head < item.heads {
            out[(first + head) * PACKS + lane] = pack4(all.value / all.weight);
        }
    }
}

@compute @workgroup_size(GROUP)
fn band(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = group.x + group.y * groups.x;
    let item = item_of(number);
    if !is_here(number, item) {
        return;
    }
    let sums = attend(item, lane);
    let first = item.row * part.kv_heads * part.shared_by + item.head;
    for (var head = 0u; head < HEADS; head++) {
        let all = whole_of(lane, sums.weight[head], sums.value[head]);
        if lane < PACKS && head < item.heads {
            let to = ((first + head) * part.splits + item.split) * (4u * PACKS + 2u);
            if lane == 0u {
                parts[to] = select(sums.top[head], bitcast<f32>(part.nothing), item.begin >= item.end);
                parts[to + 1u] = all.weight;
            }
            for (var i = 0u; i < 4u; i++) {
                parts[to + 2u + 4u * lane + i] = all.value[i];
            }
        }
    }
}
