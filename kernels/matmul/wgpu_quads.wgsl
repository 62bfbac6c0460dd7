// matmul for WebGPU, binary32 numbers in fours: n and k are multiples of four, b is not transposed. Drivers that run
// invocations on the cores of a CPU pay for each load of each invocation, whatever its width: here 32 loads of four numbers
// serve 1024 multiply-adds.
@group(0) @binding(1) var<storage, read> a_quads: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b_quads: array<vec4<f32>>;

// Rows and columns past the end repeat the last ones, and are not stored.
fn a_quad(row: u32, k: u32) -> vec4<f32> {
    return a_quads[(min(row, band.m - 1u) * band.a_stride + band.a_first + k) / 4u];
}

fn b_quad(k: u32, column: u32) -> vec4<f32> {
    return b_quads[(k * band.b_stride + min(column, band.n - 4u)) / 4u];
}

// Sixteen columns of a row of b.
fn b_row(k: u32, column: u32) -> mat4x4<f32> {
    return mat4x4<f32>(b_quad(k, column), b_quad(k, column + 4u), b_quad(k, column + 8u), b_quad(k, column + 12u));
}

fn one(sums: mat4x4<f32>, a: f32, b: mat4x4<f32>) -> mat4x4<f32> {
    let number = vec4<f32>(a);
    return mat4x4<f32>(
        fma(number, b[0], sums[0]),
        fma(number, b[1], sums[1]),
        fma(number, b[2], sums[2]),
        fma(number, b[3], sums[3]),
    );
}

// Four k's of a row.
fn four(
    sums: mat4x4<f32>, a: vec4<f32>, b0: mat4x4<f32>, b1: mat4x4<f32>, b2: mat4x4<f32>, b3: mat4x4<f32>
) -> mat4x4<f32> {
    return one(one(one(one(sums, a.x, b0), a.y, b1), a.z, b2), a.w, b3);
}

fn put_sixteen(row: u32, column: u32, sums: mat4x4<f32>) {
    put_row(row, column, sums[0]);
    put_row(row, column + 4u, sums[1]);
    put_row(row, column + 8u, sums[2]);
    put_row(row, column + 12u, sums[3]);
}

// --- wide: no work-group memory. Each invocation has sixteen rows and sixteen columns side by side.

@compute @workgroup_size(16)
fn wide(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.y * 16u;
    let column = (group.x * 16u + lane) * 16u;
    var s0 = mat4x4<f32>();
    var s1 = mat4x4<f32>();
    var s2 = mat4x4<f32>();
    var s3 = mat4x4<f32>();
    var s4 = mat4x4<f32>();
    var s5 = mat4x4<f32>();
    var s6 = mat4x4<f32>();
    var s7 = mat4x4<f32>();
    var s8 = mat4x4<f32>();
    var s9 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    var s12 = mat4x4<f32>();
    var s13 = mat4x4<f32>();
    var s14 = mat4x4<f32>();
    var s15 = mat4x4<f32>();
    for (var k = 0u; k < band.k; k += 4u) {
        let b0 = b_row(k, column);
        let b1 = b_row(k + 1u, column);
        let b2 = b_row(k + 2u, column);
        let b3 = b_row(k + 3u, column);
        s0 = four(s0, a_quad(row + 0u, k), b0, b1, b2, b3);
        s1 = four(s1, a_quad(row + 1u, k), b0, b1, b2, b3);
        s2 = four(s2, a_quad(row + 2u, k), b0, b1, b2, b3);
        s3 = four(s3, a_quad(row + 3u, k), b0, b1, b2, b3);
        s4 = four(s4, a_quad(row + 4u, k), b0, b1, b2, b3);
        s5 = four(s5, a_quad(row + 5u, k), b0, b1, b2, b3);
        s6 = four(s6, a_quad(row + 6u, k), b0, b1, b2, b3);
        s7 = four(s7, a_quad(row + 7u, k), b0, b1, b2, b3);
        s8 = four(s8, a_quad(row + 8u, k), b0, b1, b2, b3);
        s9 = four(s9, a_quad(row + 9u, k), b0, b1, b2, b3);
        s10 = four(s10, a_quad(row + 10u, k), b0, b1, b2, b3);
        s11 = four(s11, a_quad(row + 11u, k), b0, b1, b2, b3);
        s12 = four(s12, a_quad(row + 12u, k), b0, b1, b2, b3);
        s13 = four(s13, a_quad(row + 13u, k), b0, b1, b2, b3);
        s14 = four(s14, a_quad(row + 14u, k), b0, b1, b2, b3);
        s15 = four(s15, a_quad(row + 15u, k), b0, b1, b2, b3);
    }
    put_sixteen(row + 0u, column, s0);
    put_sixteen(row + 1u, column, s1);
    put_sixteen(row + 2u, column, s2);
    put_sixteen(row + 3u, column, s3);
    put_sixteen(row + 4u, column, s4);
    put_sixteen(row + 5u, column, s5);
    put_sixteen(row + 6u, column, s6);
    put_sixteen(row + 7u, column, s7);
    put_sixteen(row + 8u, column, s8);
    put_sixteen(row + 9u, column, s9);
    put_sixteen(row + 10u, column, s10);
    put_sixteen(row + 11u, column, s11);
    put_sixteen(row + 12u, column, s12);
    put_sixteen(row + 13u, column, s13);
    put_sixteen(row + 14u, column, s14);
    put_sixteen(row + 15u, column, s15);
}
