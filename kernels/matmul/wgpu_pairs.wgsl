// matmul for WebGPU: 16-bit numbers, two in a word. The format's own prefix defines unpack(word) and pack(pair). Columns of
// c are even in number, and are put two at a time from an even one on; no dispatch adds to what another left.
alias stored = u32;
const PER_WORD: u32 = 2u;

fn half_of(pair: vec2<f32>, at: u32) -> f32 {
    return select(pair.x, pair.y, (at & 1u) == 1u);
}

fn a_number(at: u32) -> f32 {
    return half_of(unpack(a[at >> 1u]), at);
}

fn b_number(at: u32) -> f32 {
    return half_of(unpack(b[at >> 1u]), at);
}

fn put_pair(row: u32, column: u32, pair: vec2<f32>) {
    if row < band.m && column < band.n {
        c[(row * band.n + column) >> 1u] = pack(pair);
    }
}

// Four columns of a row.
fn put_row(row: u32, column: u32, values: vec4<f32>) {
    put_pair(row, column, values.xy);
    put_pair(row, column + 2u, values.zw);
}

// Four rows of two columns.
fn put_columns(row: u32, column: u32, values: vec4<f32>, next: vec4<f32>) {
    put_pair(row, column, vec2<f32>(values.x, next.x));
    put_pair(row + 1u, column, vec2<f32>(values.y, next.y));
    put_pair(row + 2u, column, vec2<f32>(values.z, next.z));
    put_pair(row + 3u, column, vec2<f32>(values.w, next.w));
}
