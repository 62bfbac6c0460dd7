// rotate for WebGPU: an invocation takes four numbers of the first half of a head and the four that stand as far into its
// second half. The prefix made for each variant defines GROUP (invocations of a work group), ROTARY, how numbers lie in
// memory (`stored`, four of them), and `bias_at`, zero where there is no bias. Keys and values whose place is outside the
// bindings of this dispatch are left to another; one dispatch (`queries`) of all takes the queries.
struct Part {
    heads: u32,
    kv_heads: u32,
    packs: u32,      // of half a head
    first: u32,      // rows before those of this dispatch
    position: u32,
    page: u32,
    pages_each: u32,
    unit_first: u32, // of the cache before its bindings, a unit being what a page has of one KV head
    units: u32,      // in its bindings
    queries: u32,
}

@group(0) @binding(0) var<uniform> part: Part;
@group(0) @binding(1) var<storage, read> qkv: array<stored>;
@group(0) @binding(3) var<storage, read> angles: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<stored>;
@group(0) @binding(5) var<storage, read_write> keys: array<stored>;
@group(0) @binding(6) var<storage, read_write> values: array<stored>;
@group(0) @binding(7) var<storage, read> pages: array<u32>;

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group.x * GROUP + lane;
    let head = item / part.packs;
    let pack = item % part.packs;
    let all = part.heads + 2u * part.kv_heads;
    if head >= all {
        return;
    }
    let row = group.y;
    let at = head * 2u * part.packs + pack;
    let start = row * all * 2u * part.packs;
    var x = unpack4(qkv[start + at]) + bias_at(at);
    var y = unpack4(qkv[start + at + part.packs]) + bias_at(at + part.packs);
    if ROTARY && head < part.heads + part.kv_heads {
        let early = angles[2u * pack];
        let late = angles[2u * pack + 1u];
        let c = vec4<f32>(early.xz, late.xz);
        let s = vec4<f32>(early.yw, late.yw);
        let turned = x * c - y * s;
        y = y * c + x * s;
        x = turned;
    }
    if head < part.heads {
        if part.queries == 1u {
            let to = row * part.heads * 2u * part.packs + at;
            q[to] = pack4(x);
            q[to + part.packs] = pack4(y);
        }
        return;
    }
    let kv_head = (head - part.heads) % part.kv_heads;
    let page = pages[(part.first + row) * part.pages_each + part.position / part.page];
    let unit = page * part.kv_heads + kv_head - part.unit_first;
    if unit >= part.units {
        return;
    }
    let to = (unit * part.page + part.position % part.page) * 2u * part.packs + pack;
    if head < part.heads + part.kv_heads {
        keys[to] = pack4(x);
        keys[to + part.packs] = pack4(y);
    } else {
        values[to] = pack4(x);
        values[to + part.packs] = pack4(y);
    }
}
