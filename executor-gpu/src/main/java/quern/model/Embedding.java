package quern.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * The token embedding: ids to rows. A small table is kept as it is stored; of others, which may be gigabytes, what lies near
 * the rows that are asked for is read each time. Safe for several threads.
 */
public final class Embedding {
    /** Rows that are not wanted are read too where that is cheaper than another request. */
    private static final long NEAR = 1 << 20;

    private static final long AT_ONCE = 8 << 20;

    private static final long SMALL = 128 << 20;

    private final Model model;
    private final long small;
    private @Nullable ByteBuffer table;

    private Embedding(Model model, long small) {
        this.model = model;
        this.small = small;
    }

    public static Embedding open(Model model) {
        return open(model, SMALL);
    }

    static Embedding open(Model model, long small) {
        return new Embedding(model, small);
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
        if ((long) row * model.vocabulary() <= small) {
            gather(table(width), type, 0, wanted, result);
            return result;
        }
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
            gather(bytes, type, first, Arrays.copyOfRange(wanted, at, end), result);
        }
        return result;
    }

    /** Copies rows to their places; the first of {@code bytes} is that of id {@code first}. */
    private static void gather(ByteBuffer bytes, DType type, int first, long[] wanted, Matrix result) {
        int width = result.cols();
        int start = bytes.position();
        for (long each : wanted) {
            bytes.position(start + (id(each) - first) * width * type.bytes());
            HalfFloats.toFloats(bytes, type, result.values(), (int) each * width, width);
        }
    }

    private synchronized ByteBuffer table(int width) throws IOException {
        if (table == null) {
            table = StoredTensors.bytes(model.tensors(), model.embedding(), 0, model.vocabulary(), width);
        }
        return table.duplicate();
    }

    private static int id(long wanted) {
        return (int) (wanted >> 32);
    }
}
