package quern.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * The token embedding: ids to rows. A small table is read at once; of a large one only the rows that are asked for, which are
 * kept. Safe for several threads.
 */
public final class Embedding {
    private static final long READ_WHOLE = 256L << 20;

    private final Model model;
    private final float @Nullable [] whole;
    private final Map<Integer, float[]> rows = new ConcurrentHashMap<>();

    private Embedding(Model model, float @Nullable [] whole) {
        this.model = model;
        this.whole = whole;
    }

    public static Embedding open(Model model) throws IOException {
        return open(model, READ_WHOLE);
    }

    static Embedding open(Model model, long readWhole) throws IOException {
        boolean small = 4L * model.vocabulary() * model.config().embeddingSize() <= readWhole;
        return new Embedding(model, small ? floats(model, 0, model.vocabulary()) : null);
    }

    private static float[] floats(Model model, int from, int count) throws IOException {
        int width = model.config().embeddingSize();
        ByteBuffer bytes = StoredTensors.bytes(model.tensors(), model.embedding(), from, count, width);
        DType type = StoredTensors.type(model.tensors(), model.embedding());
        return HalfFloats.toFloats(bytes, type, count * width);
    }

    /** tokens x columns of the embedding; {@link QuernException} for an id beyond the vocabulary. */
    public Matrix rows(int[] tokens) throws IOException {
        int width = model.config().embeddingSize();
        Matrix result = Matrix.zeros(tokens.length, width);
        for (int t = 0; t < tokens.length; t++) {
            int id = tokens[t];
            if (id < 0 || id >= model.vocabulary()) {
                throw new QuernException("Cannot embed token " + id + ": the model's vocabulary has "
                        + model.vocabulary() + " tokens (use the tokenizer that belongs to the model)");
            }
            if (whole != null) {
                System.arraycopy(whole, id * width, result.values(), t * width, width);
            } else {
                System.arraycopy(row(id), 0, result.values(), t * width, width);
            }
        }
        return result;
    }

    private float[] row(int id) throws IOException {
        float[] row = rows.get(id);
        if (row == null) {
            row = floats(model, id, 1);
            rows.put(id, row);
        }
        return row;
    }
}
