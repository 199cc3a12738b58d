package quern.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * The token embedding: ids to rows. Of the table, which may be gigabytes, what lies near the rows that are asked for is
 * read each time and nothing is kept. Safe for several threads.
 */
public final class Embedding {
    /** Rows that are not wanted are read too where that is cheaper than another request. */
    private static final long NEAR = 1 << 20;

    private static final long AT_ONCE = 8 << 20;

    private final Model model;

    private Embedding(Model model) {
        this.model = model;
    }

    public static Embedding open(Model model) {
        return new Embedding(model);
    }

    /** tokens x columns of the embedding; {@link QuernException} for an id beyond the vocabulary. */
    public Matrix rows(int[] tokens) throws IOException {
        long[] wanted = new long[tokens.length]; // id and place, by id
        for (int t = 0; t < tokens.length; t++) {
            if (tokens[t] < 0 || tokens[t] >= model.vocabulary()) {
                throw new QuernException("Cannot embed token " + tokens[t] + ": the model's vocabulary has "
                        + model.vocabulary() + " tokens (use the tokenizer that belongs to the model)");
            }
            wanted[t] = (long) tokens[t] << 32 | t;
        }
        Arrays.sort(wanted);
        int width = model.config().embeddingSize();
        DType type = StoredTensors.type(model.tensors(), model.embedding());
        int row = width * type.bytes();
        Matrix result = Matrix.zeros(tokens.length, width);
        for (int at = 0, end; at < wanted.length; at = end) {
            int first = id(wanted[at]);
            end = at + 1;
            while (end < wanted.length
                    && (id(wanted[end]) - id(wanted[end - 1])) * (long) row <= NEAR
                    && (id(wanted[end]) - first) * (long) row < AT_ONCE) {
                end++;
            }
            int count = id(wanted[end - 1]) - first + 1;
            ByteBuffer bytes = StoredTensors.bytes(model.tensors(), model.embedding(), first, count, width);
            int start = bytes.position();
            for (int k = at; k < end; k++) {
                bytes.position(start + (id(wanted[k]) - first) * row);
                HalfFloats.toFloats(bytes, type, result.values(), (int) wanted[k] * width, width);
            }
        }
        return result;
    }

    private static int id(long wanted) {
        return (int) (wanted >> 32);
    }
}
