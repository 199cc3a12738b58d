package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;

/**
 * Causal attention by tiles of queries: scores against only the keys that a tile can see, softmax, product with the
 * values. The query heads that share a key head are one batch; no head is copied. A sink is one more column of scores, behind
 * those of the keys.
 */
final class OneDnnAttention {
    /** Queries of a tile: above the diagonal at most this many scores are computed for nothing. */
    private static final int TILE = 128;

    private final CpuDevice device;

    OneDnnAttention(CpuDevice device) {
        this.device = device;
    }

    NativeMatrix run(
            NativeMatrix q,
            NativeMatrix k,
            NativeMatrix v,
            @Nullable NativeMatrix bias,
            float @Nullable [] sinks,
            AttentionShape shape,
            DType to) {
        NativeMatrix result = device.allocate(q.rows(), shape.heads() * shape.valueDim(), to);
        for (int from = 0; from < shape.length(); from += TILE) {
            int rows = Math.min(TILE, shape.length() - from);
            int firstKey = shape.window() == 0 ? 0 : Math.max(0, from - shape.window() + 1);
            try (Tile tile = new Tile(shape, from, rows, firstKey, bias, sinks, to)) {
                for (int sequence = 0; sequence < q.rows(); sequence += shape.length()) {
                    for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
                        tile.run(q, k, v, sequence, kvHead, result);
                    }
                }
            }
        }
        return result;
    }

    /** The same queries of every sequence and head. */
    private final class Tile implements AutoCloseable {
        private final int from;
        private final int firstKey;
        private final AttentionShape shape;
        private final int group;
        /** By key head: (group * rows) x columns; without a bias one of rows x columns for all. */
        private final List<NativeMatrix> masks = new ArrayList<>();

        private final float @Nullable [] sinks;
        private final int rows;
        private final int columns; // of scores: the keys, and a sink
        private final NativeMemory.Block scores; // group x rows x columns, F32
        private final NativeMemory.Block weights; // group x rows x columns, compute type
        private final Operations.Product scoreOperation;
        private final Primitive score;
        private final Primitive softmax;
        private final Primitive combine;

        Tile(
                AttentionShape shape,
                int from,
                int rows,
                int firstKey,
                @Nullable NativeMatrix bias,
                float @Nullable [] sinks,
                DType to) {
            this.shape = shape;
            this.from = from;
            this.firstKey = firstKey;
            group = shape.heads() / shape.kvHeads();
            int keys = from + rows - firstKey;
            DType compute = device.computeType();
            this.sinks = sinks;
            this.rows = rows;
            columns = sinks == null ? keys : keys + 1;
            long elements = (long) group * rows * columns;
            for (int kvHead = 0; kvHead < (bias == null ? 1 : shape.kvHeads()); kvHead++) {
                masks.add(mask(bias, kvHead * group));
            }
            scores = device.memory().allocate(elements * DType.F32.bytes());
            weights = device.memory().allocate(elements * compute.bytes());

            List<Long> dims = List.of((long) group, (long) rows, (long) keys);
            List<Long> strides = List.of((long) rows * columns, (long) columns, 1L);
            List<Long> all = List.of((long) group, (long) rows, (long) columns);
            Layout scoreLayout = Layout.of(DType.F32, dims, strides);
            Layout weightLayout = Layout.of(compute, dims, strides);
            long d = shape.headDim();
            long dv = shape.valueDim();
            scoreOperation = new Operations.Product(
                    Layout.of(compute, List.of((long) group, (long) rows, d), List.of(d, shape.heads() * d, 1L)),
                    Layout.of(
                            compute,
                            List.of(1L, d, (long) keys),
                            List.of(keys * shape.kvHeads() * d, 1L, shape.kvHeads() * d)),
                    scoreLayout,
                    false,
                    false,
                    shape.scale(),
                    shape.cap(),
                    Layout.of(DType.F32, List.of(bias == null ? 1L : group, (long) rows, (long) keys), strides),
                    false);
            score = device.oneDnn().primitive(scoreOperation);
            softmax = device.oneDnn()
                    .primitive(new Operations.Softmax(
                            Layout.of(DType.F32, all, strides), Layout.of(compute, all, strides)));
            combine = device.oneDnn()
                    .primitive(Operations.Product.of(
                            weightLayout,
                            Layout.of(
                                    compute,
                                    List.of(1L, (long) keys, dv),
                                    List.of(keys * shape.kvHeads() * dv, shape.kvHeads() * dv, 1L)),
                            Layout.of(
                                    to, List.of((long) group, (long) rows, dv), List.of(dv, shape.heads() * dv, 1L))));
        }

        /**
         * The bias, or zero, where a query sees a key; minus infinity elsewhere. As wide as the scores: oneDNN finds the place in it by
         * the place in these.
         */
        private NativeMatrix mask(@Nullable NativeMatrix bias, int head) {
            NativeMatrix result = device.allocate((bias == null ? 1 : group) * rows, columns, DType.F32);
            float[] row = new float[columns];
            for (int r = 0; r < result.rows(); r++) {
                int position = from + r % rows;
                int first = shape.window() == 0 ? 0 : Math.max(0, position - shape.window() + 1);
                Arrays.fill(row, Float.NEGATIVE_INFINITY);
                if (bias == null) {
                    Arrays.fill(row, first - firstKey, position + 1 - firstKey, 0);
                } else {
                    bias.read(head + r / rows, first, position + 1 - first, row, first - firstKey);
                }
                result.write(r, 0, columns, row, 0);
            }
            return result;
        }

        void run(NativeMatrix q, NativeMatrix k, NativeMatrix v, int sequence, int kvHead, NativeMatrix result) {
            int head = kvHead * group;
            score.run(
                    device.oneDnn(),
                    new Primitive.Arg(DNNL_ARG_SRC, q.address(sequence + from, (long) head * shape.headDim())),
                    new Primitive.Arg(
                            DNNL_ARG_WEIGHTS, k.address(sequence + firstKey, (long) kvHead * shape.headDim())),
                    new Primitive.Arg(
                            scoreOperation.maskArgument(),
                            masks.get(masks.size() == 1 ? 0 : kvHead).address()),
                    new Primitive.Arg(DNNL_ARG_DST, scores.address()));
            sink(head);
            softmax.run(
                    device.oneDnn(),
                    new Primitive.Arg(DNNL_ARG_SRC, scores.address()),
                    new Primitive.Arg(DNNL_ARG_DST, weights.address()));
            combine.run(
                    device.oneDnn(),
                    new Primitive.Arg(DNNL_ARG_SRC, weights.address()),
                    new Primitive.Arg(
                            DNNL_ARG_WEIGHTS, v.address(sequence + firstKey, (long) kvHead * shape.valueDim())),
                    new Primitive.Arg(DNNL_ARG_DST, result.address(sequence + from, (long) head * shape.valueDim())));
        }

        /** Puts the sinks of the heads from here on behind their scores. */
        private void sink(int head) {
            if (sinks != null) {
                for (int row = 0; row < group * rows; row++) {
                    long last = ((long) row + 1) * columns - 1;
                    scores.address().plus(last * DType.F32.bytes()).floats(1).put(0, sinks[head + row / rows]);
                }
            }
        }

        @Override
        public void close() {
            masks.forEach(NativeMatrix::close);
            scores.close();
            weights.close();
        }
    }
}
