package quern.device;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;

/**
 * The steps of a decoder's forward pass over a batch of sequences of equal length, one row per token. Operands of products
 * are rounded to the device's compute type, sums are kept in fp32. Results are new matrices unless said otherwise.
 */
public interface ForwardKernels {
    /**
     * A weight made ready for {@link #linear}: reordered and rounded to the compute type.
     *
     * @param weight outputs x inputs, as stored
     */
    DeviceMatrix prepare(DeviceMatrix weight);

    /**
     * y = x wT + bias.
     *
     * @param x tokens x inputs, compute type or F32
     * @param weight outputs x inputs, from {@link #prepare}
     * @param bias 1 x outputs F32, or none
     * @return tokens x outputs, of type {@code to}
     */
    DeviceMatrix linear(DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, DType to);

    /**
     * RMS normalization of each run of {@code width} columns: x / sqrt(mean(x^2) + eps) * (weight + offset).
     *
     * @param x tokens x (k * width)
     * @param weight 1 x width, or 1 x (k * width), F32
     * @param offset 0, or 1 where the stored weight is an offset from one
     */
    DeviceMatrix rmsNorm(DeviceMatrix x, DeviceMatrix weight, int width, float eps, float offset, DType to);

    /**
     * Layer normalization of each run of {@code width} columns: (x - mean) / sqrt(variance + eps) * weight + bias.
     *
     * @param x tokens x (k * width)
     * @param weight 1 x width, or 1 x (k * width), F32
     * @param bias as wide as the weight, or none
     */
    DeviceMatrix layerNorm(
            DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, int width, float eps, DType to);

    /**
     * Rotary position embedding of rows that hold heads of {@code headDim} columns: in each head, the pair (i, i + half) of
     * the first 2 * half columns (or (2i, 2i+1) if interleaved) is turned by the angle whose cosine and sine stand at
     * [position][i] of the tables; further columns stay.
     *
     * @param x (sequences * length) x (heads * headDim)
     * @param cos length x half, F32
     * @param sin length x half, F32
     */
    DeviceMatrix rotary(DeviceMatrix x, DeviceMatrix cos, DeviceMatrix sin, int headDim, boolean interleaved, DType to);

    /**
     * Causal softmax attention of each sequence by itself, over scores q . k * scale, then capped, then with the bias.
     *
     * @param q (sequences * length) x (heads * headDim)
     * @param k (sequences * length) x (kvHeads * headDim)
     * @param v (sequences * length) x (kvHeads * valueDim)
     * @param bias heads x length, F32: what a key's position adds to its scores, or none
     * @param sinks 1 x heads, F32: one more score for each head, which takes part in the softmax and has no value; or none
     * @return (sequences * length) x (heads * valueDim)
     */
    DeviceMatrix attention(
            DeviceMatrix q,
            DeviceMatrix k,
            DeviceMatrix v,
            @Nullable DeviceMatrix bias,
            @Nullable DeviceMatrix sinks,
            AttentionShape shape,
            DType to);

    /** Attention without a bias and sinks. */
    default DeviceMatrix attention(DeviceMatrix q, DeviceMatrix k, DeviceMatrix v, AttentionShape shape, DType to) {
        return attention(q, k, v, null, null, shape, to);
    }

    /**
     * The columns of heads put together: those of a, then those of b.
     *
     * @param a tokens x (heads * aWidth)
     * @param b tokens x (heads * bWidth), or tokens x bWidth for all heads; of a's type
     * @return tokens x (heads * (aWidth + bWidth))
     */
    DeviceMatrix join(DeviceMatrix a, int aWidth, DeviceMatrix b, int bWidth);

    /** activation(gate) * up, element by element; up may be absent. */
    DeviceMatrix activate(Activation activation, DeviceMatrix gate, @Nullable DeviceMatrix up, DType to);

    /**
     * gate * sigmoid(alpha * gate) * (up + 1), element by element, of a gate cut at {@code limit} from above and an up cut at
     * {@code limit} from both sides.
     */
    DeviceMatrix clampedGate(DeviceMatrix gate, DeviceMatrix up, float alpha, float limit, DType to);

    /** a + b, F32. */
    DeviceMatrix add(DeviceMatrix a, DeviceMatrix b);

    /**
     * a - b, F32.
     *
     * @param b of a's type
     */
    DeviceMatrix subtract(DeviceMatrix a, DeviceMatrix b);

    /** x times a number. */
    DeviceMatrix scale(DeviceMatrix x, float factor, DType to);

    /** Row i of the result is row {@code index[i]} of the matrix, of the same type. */
    default DeviceMatrix rows(DeviceMatrix matrix, int[] index) {
        return gather(List.of(matrix), List.of(index));
    }

    /**
     * Rows of several matrices of one type and width, one below the other: those of the first that are asked for, then those of the
     * second.
     *
     * @param index for each matrix, numbers of rows
     */
    DeviceMatrix gather(List<DeviceMatrix> matrices, List<int[]> index);

    /**
     * sum[index[i]] += factors[i] * x[from + i], a row at a time.
     *
     * @param x rows x columns, compute type or F32
     * @param index rows of the sum, each once
     * @param sum rows x columns, F32
     */
    void addRows(DeviceMatrix x, int from, float[] factors, int[] index, DeviceMatrix sum);

    /**
     * gram += xT x, rounded as the compute type and summed in fp32. Only the lower triangle (column <= row) is defined
     * until {@link SolveKernels#mirrorLower} has mirrored it.
     *
     * @param x tokens x inputs
     * @param gram inputs x inputs, F32
     */
    void addGram(DeviceMatrix x, DeviceMatrix gram);

    /**
     * sum += aT b, rounded as the compute type and summed in fp32.
     *
     * @param a tokens x n
     * @param b tokens x m
     * @param sum n x m, F32
     */
    void addProducts(DeviceMatrix a, DeviceMatrix b, DeviceMatrix sum);

    /**
     * largest = max(largest, |x|) in each column, of values as they are; a NaN stays.
     *
     * @param x tokens x inputs, compute type or F32
     * @param largest 1 x inputs, F32
     */
    void raiseLargest(DeviceMatrix x, DeviceMatrix largest);

    /**
     * @param length tokens of a sequence
     * @param scale what scores are multiplied by
     * @param window a token sees itself and the window - 1 tokens before it; 0 for all
     * @param cap a score s becomes cap * tanh(s / cap); 0 for none
     */
    record AttentionShape(
            int length, int heads, int kvHeads, int headDim, int valueDim, float scale, int window, float cap) {
        /** Without a cap. */
        public AttentionShape(int length, int heads, int kvHeads, int headDim, int valueDim, float scale, int window) {
            this(length, heads, kvHeads, headDim, valueDim, scale, window, 0);
        }
    }

    /** Activation functions by their exact definitions. */
    enum Activation {
        SILU,
        GELU_ERF,
        GELU_TANH,
        RELU
    }
}
