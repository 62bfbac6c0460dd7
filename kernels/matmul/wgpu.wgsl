// matmul for WebGPU: three ways to cut the work, each an entry point. The prefix made for each variant defines
// B_TRANSPOSED (bool), TILE (1 or 2) and ROWS (rows of an invocation of the other two); that of each format, in
// wgpu_words.wgsl or wgpu_pairs.wgsl, how numbers lie in words. Rows of this dispatch are those of one band of c; its k's
// may be a part of all k's, and are then added to what an earlier dispatch left (`add`).
struct Band {
    m: u32,        // rows of the band
    n: u32,
    k: u32,        // k's of this dispatch
    a_stride: u32, // k's of the whole product: from one row of a to the next
    a_first: u32,  // first k of this dispatch in a row of a
    b_stride: u32, // from one row of b, as stored, to the next
    add: u32,
    b_first: u32,  // numbers of b before the first one of this dispatch, in each row as stored
}

@group(0) @binding(0) var<uniform> band: Band;
@group(0) @binding(1) var<storage, read> a: array<stored>;
@group(0) @binding(2) var<storage, read> b: array<stored>;
@group(0) @binding(3) var<storage, read_write> c: array<stored>;

fn a_at(row: u32, k: u32) -> f32 {
    return a_number(row * band.a_stride + band.a_first + k);
}

fn b_at(k: u32, column: u32) -> f32 {
    if B_TRANSPOSED {
        return b_number(column * band.b_stride + band.b_first + k);
    }
    return b_number(k * band.b_stride + column);
}

// --- tile: 16 x 16 invocations share slices of a and b in work-group memory. Each computes four or, with TILE = 2,
// eight rows and as many columns.

const SIDE: u32 = 64u * TILE;  // of the tile
const DEPTH: u32 = 16u / TILE; // k's of a slice, so that each invocation loads four numbers of each operand
const PACKS: u32 = SIDE / 4u;

var<workgroup> slice_a: array<vec4<f32>, 256>; // [k][pack of rows]
var<workgroup> slice_b: array<vec4<f32>, 256>; // [k][pack of columns]

fn load_a(row: u32, k: u32) -> f32 {
    if row < band.m && k < band.k {
        return a_at(row, k);
    }
    return 0.0;
}

fn load_b(k: u32, column: u32) -> f32 {
    if k < band.k && column < band.n {
        return b_at(k, column);
    }
    return 0.0;
}

@compute @workgroup_size(256)
fn tile(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let top = group.y * SIDE;
    let left = group.x * SIDE;
    // What this invocation loads: four k's of a row of a, and four columns of a row of b.
    let a_row = lane / (DEPTH / 4u);
    let a_k = lane % (DEPTH / 4u) * 4u;
    let b_k = lane / PACKS;
    let b_pack = lane % PACKS;
    // What it computes.
    let y = lane / 16u;
    let x = lane % 16u;
    var sums: array<vec4<f32>, 16>;
    for (var start = 0u; start < band.k; start += DEPTH) {
        let row = top + a_row;
        let at = a_k * PACKS + a_row / 4u;
        let part = a_row % 4u;
        slice_a[at][part] = load_a(row, start + a_k);
        slice_a[at + PACKS][part] = load_a(row, start + a_k + 1u);
        slice_a[at + 2u * PACKS][part] = load_a(row, start + a_k + 2u);
        slice_a[at + 3u * PACKS][part] = load_a(row, start + a_k + 3u);
        let column = left + b_pack * 4u;
        slice_b[b_k * PACKS + b_pack] = vec4<f32>(
            load_b(start + b_k, column),
            load_b(start + b_k, column + 1u),
            load_b(start + b_k, column + 2u),
            load_b(start + b_k, column + 3u),
        );
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let a0 = slice_a[k * PACKS + y];
            let b0 = slice_b[k * PACKS + x];
            sums[0] = fma(vec4<f32>(a0.x), b0, sums[0]);
            sums[1] = fma(vec4<f32>(a0.y), b0, sums[1]);
            sums[2] = fma(vec4<f32>(a0.z), b0, sums[2]);
            sums[3] = fma(vec4<f32>(a0.w), b0, sums[3]);
            if TILE > 1u {
                let a1 = slice_a[k * PACKS + 16u + y];
                let b1 = slice_b[k * PACKS + 16u + x];
                sums[4] = fma(vec4<f32>(a0.x), b1, sums[4]);
                sums[5] = fma(vec4<f32>(a0.y), b1, sums[5]);
                sums[6] = fma(vec4<f32>(a0.z), b1, sums[6]);
                sums[7] = fma(vec4<f32>(a0.w), b1, sums[7]);
                sums[8] = fma(vec4<f32>(a1.x), b0, sums[8]);
                sums[9] = fma(vec4<f32>(a1.y), b0, sums[9]);
                sums[10] = fma(vec4<f32>(a1.z), b0, sums[10]);
                sums[11] = fma(vec4<f32>(a1.w), b0, sums[11]);
                sums[12] = fma(vec4<f32>(a1.x), b1, sums[12]);
                sums[13] = fma(vec4<f32>(a1.y), b1, sums[13]);
                sums[14] = fma(vec4<f32>(a1.z), b1, sums[14]);
                sums[15] = fma(vec4<f32>(a1.w), b1, sums[15]);
            }
        }
        workgroupBarrier();
    }
    let row = top + y * 4u;
    let column = left + x * 4u;
    put_row(row, column, sums[0]);
    put_row(row + 1u, column, sums[1]);
    put_row(row + 2u, column, sums[2]);
    put_row(row + 3u, column, sums[3]);
    if TILE > 1u {
        put_row(row, column + 64u, sums[4]);
        put_row(row + 1u, column + 64u, sums[5]);
        put_row(row + 2u, column + 64u, sums[6]);
        put_row(row + 3u, column + 64u, sums[7]);
        put_row(row + 64u, column, sums[8]);
        put_row(row + 65u, column, sums[9]);
        put_row(row + 66u, column, sums[10]);
        put_row(row + 67u, column, sums[11]);
        put_row(row + 64u, column + 64u, sums[12]);
        put_row(row + 65u, column + 64u, sums[13]);
        put_row(row + 66u, column + 64u, sums[14]);
        put_row(row + 67u, column + 64u, sums[15]);
    }
}

// --- strip: no work-group memory. Each invocation has ROWS rows (1, 4 or 8) and eight columns side by side, so that a
// driver that runs invocations on CPU cores reads whole lines of b; the numbers of a are the same for the whole work
// group. For devices whose work-group memory is ordinary memory.

// Rows and columns past the end repeat the last one, and are not stored.
fn a_near(row: u32, k: u32) -> f32 {
    return a_at(min(row, band.m - 1u), k);
}

fn b_near(k: u32, column: u32) -> vec4<f32> {
    let last = band.n - 1u;
    return vec4<f32>(
        b_at(k, min(column, last)),
        b_at(k, min(column + 1u, last)),
        b_at(k, min(column + 2u, last)),
        b_at(k, min(column + 3u, last)),
    );
}

@compute @workgroup_size(64)
fn strip(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * ROWS;
    let column = (group.x * 64u + lane) * 8u;
    var left: array<vec4<f32>, 8>;
    var right: array<vec4<f32>, 8>;
    for (var k = 0u; k < band.k; k++) {
        let b0 = b_near(k, column);
        let b1 = b_near(k, column + 4u);
        let a0 = vec4<f32>(a_near(row, k));
        left[0] = fma(a0, b0, left[0]);
        right[0] = fma(a0, b1, right[0]);
        if ROWS > 1u {
            let a1 = vec4<f32>(a_near(row + 1u, k));
            left[1] = fma(a1, b0, left[1]);
            right[1] = fma(a1, b1, right[1]);
            let a2 = vec4<f32>(a_near(row + 2u, k));
            left[2] = fma(a2, b0, left[2]);
            right[2] = fma(a2, b1, right[2]);
            let a3 = vec4<f32>(a_near(row + 3u, k));
            left[3] = fma(a3, b0, left[3]);
            right[3] = fma(a3, b1, right[3]);
        }
        if ROWS > 4u {
            let a4 = vec4<f32>(a_near(row + 4u, k));
            left[4] = fma(a4, b0, left[4]);
            right[4] = fma(a4, b1, right[4]);
            let a5 = vec4<f32>(a_near(row + 5u, k));
            left[5] = fma(a5, b0, left[5]);
            right[5] = fma(a5, b1, right[5]);
            let a6 = vec4<f32>(a_near(row + 6u, k));
            left[6] = fma(a6, b0, left[6]);
            right[6] = fma(a6, b1, right[6]);
            let a7 = vec4<f32>(a_near(row + 7u, k));
            left[7] = fma(a7, b0, left[7]);
            right[7] = fma(a7, b1, right[7]);
        }
    }
    put_eight(row, column, left[0], right[0]);
    if ROWS > 1u {
        put_eight(row + 1u, column, left[1], right[1]);
        put_eight(row + 2u, column, left[2], right[2]);
        put_eight(row + 3u, column, left[3], right[3]);
    }
    if ROWS > 4u {
        put_eight(row + 4u, column, left[4], right[4]);
        put_eight(row + 5u, column, left[5], right[5]);
        put_eight(row + 6u, column, left[6], right[6]);
        put_eight(row + 7u, column, left[7], right[7]);
    }
}

fn put_eight(row: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    put_row(row, column, left);
    put_row(row, column + 4u, right);
}

// --- split: for few rows, where reading b is all. 32 columns by 8 parts of the k's in a work group, so that many
// invocations read b at once; the parts' sums meet in work-group memory.

var<workgroup> parts: array<vec4<f32>, 256>;

fn a_pack(row: u32, k: u32) -> vec4<f32> {
    return vec4<f32>(a_near(row, k), a_near(row + 1u, k), a_near(row + 2u, k), a_near(row + 3u, k));
}

// The sum of a column's parts.
fn whole(column: u32) -> vec4<f32> {
    var sum = parts[column];
    for (var part = 1u; part < 8u; part++) {
        sum += parts[part * 32u + column];
    }
    return sum;
}

// Four rows of the 32 columns from `left` on.
fn meet(row: u32, left: u32, lane: u32, sum: vec4<f32>) {
    parts[lane] = sum;
    workgroupBarrier();
    // One invocation writes all numbers of a word.
    if lane < 32u / PER_WORD {
        let first = lane * PER_WORD;
        var next = vec4<f32>();
        if PER_WORD > 1u {
            next = whole(first + 1u);
        }
        put_columns(row, left + first, whole(first), next);
    }
    workgroupBarrier();
}

@compute @workgroup_size(256)
fn split(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * ROWS;
    let left = group.x * 32u;
    let within = min(left + lane % 32u, band.n - 1u);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    for (var k = lane / 32u; k < band.k; k += 8u) {
        let number = vec4<f32>(b_at(k, within));
        sum0 = fma(a_pack(row, k), number, sum0);
        if ROWS > 4u { sum1 = fma(a_pack(row + 4u, k), number, sum1); }
    }
    meet(row, left, lane, sum0);
    if ROWS > 4u { meet(row + 4u, left, lane, sum1); }
}
