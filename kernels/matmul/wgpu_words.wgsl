// matmul for WebGPU: binary32 numbers, a word each.
alias stored = f32;
const PER_WORD: u32 = 1u;

fn a_number(at: u32) -> f32 {
    return a[at];
}

fn b_number(at: u32) -> f32 {
    return b[at];
}

fn put(row: u32, column: u32, value: f32) {
    if row < band.m && column < band.n {
        let at = row * band.n + column;
        if band.add != 0u {
            c[at] += value;
        } else {
            c[at] = value;
        }
    }
}

// Four columns of a row.
fn put_row(row: u32, column: u32, values: vec4<f32>) {
    put(row, column, values.x);
    put(row, column + 1u, values.y);
    put(row, column + 2u, values.z);
    put(row, column + 3u, values.w);
}

// Four rows of a column; there is no second one in a word.
fn put_columns(row: u32, column: u32, values: vec4<f32>, next: vec4<f32>) {
    put(row, column, values.x);
    put(row + 1u, column, values.y);
    put(row + 2u, column, values.z);
    put(row + 3u, column, values.w);
}
