package quern.bench;

import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;

/** What a layer does beside its linears. */
final class GpuLayerPieces {
    private final GpuShapes shapes;
    private final GpuTable table;
    private final ForwardKernels forward;

    GpuLayerPieces(GpuShapes shapes, GpuTable table) {
        this.shapes = shapes;
        this.table = table;
        forward = shapes.device().forward();
    }

    void measure() {
        int length = shapes.size(2048);
        int sequences = shapes.real() ? 4 : 1;
        int tokens = sequences * length;
        int heads = shapes.real() ? 32 : 2;
        int kvHeads = shapes.real() ? 8 : 1;
        int headDim = shapes.real() ? 128 : 32;
        int hidden = heads * headDim;
        int inner = shapes.size(14336);
        DeviceMatrix q = shapes.random(tokens, hidden, DType.BF16);
        DeviceMatrix k = shapes.random(tokens, kvHeads * headDim, DType.BF16);
        AttentionShape shape = new AttentionShape(length, heads, kvHeads, headDim, headDim, 0.088f, 0);
        table.add(
                "attention %d x %d, %d/%d heads of %d".formatted(sequences, length, heads, kvHeads, headDim),
                () -> forward.attention(q, k, k, shape, DType.BF16).close(),
                2.0 * sequences * heads * length * (length + 1) * headDim,
                4.0 * tokens * (hidden + kvHeads * headDim),
                table.roofs().bf16(),
                "the half under the diagonal is counted");
        DeviceMatrix x = shapes.random(tokens, hidden, DType.F32);
        DeviceMatrix weight = shapes.random(1, hidden, DType.F32);
        DeviceMatrix angles = shapes.random(length, headDim / 2, DType.F32);
        DeviceMatrix gate = shapes.random(tokens, inner, DType.BF16);
        double cells = (double) tokens * hidden;
        table.add(
                "RMS norm %d x %d".formatted(tokens, hidden),
                () -> forward.rmsNorm(x, weight, hidden, 1e-5f, 0, DType.BF16).close(),
                0,
                6 * cells,
                table.roofs().fp32(),
                "");
        table.add(
                "rotary %d x %d".formatted(tokens, hidden),
                () -> forward.rotary(q, angles, angles, headDim, false, DType.BF16)
                        .close(),
                0,
                4 * cells,
                table.roofs().fp32(),
                "");
        table.add(
                "SiLU times up %d x %d".formatted(tokens, inner),
                () -> forward.activate(Activation.SILU, gate, gate, DType.BF16).close(),
                0,
                6.0 * tokens * inner,
                table.roofs().fp32(),
                "up is the gate itself here, and may come out of the cache");
        table.add(
                "add %d x %d".formatted(tokens, hidden),
                () -> forward.add(x, x).close(),
                0,
                12 * cells,
                table.roofs().fp32(),
                "");
        GpuShapes.close(q, k, x, weight, angles, gate);
    }
}
