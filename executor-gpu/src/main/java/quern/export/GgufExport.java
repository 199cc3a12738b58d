package quern.export;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.format.gguf.GgufFormat;
import quern.format.gguf.GgufLayout;
import quern.format.gguf.GgufType;
import quern.format.gguf.RowOrder;
import quern.method.RoundToNearest;
import quern.model.Model;
import quern.scheme.Scheme;
import quern.store.GgufWriter;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** A model on its way to a GGUF file. */
public final class GgufExport {
    /** Values that are in memory at a time. */
    private static final int SLICE = 1 << 22;

    private static final float LARGEST_HALF = 65504;

    private final Model model;
    private final GgufFormat format;
    private final GgufMetadata metadata;
    private final GgufLayout layout;

    private GgufExport(Model model, GgufFormat format, GgufMetadata metadata) {
        this.model = model;
        this.format = format;
        this.metadata = metadata;
        layout = new GgufLayout(format, metadata.family(), model.embedding(), model.head());
    }

    public static GgufExport of(Model model, GgufFormat format) throws IOException {
        ByteBuffer bytes = model.store()
                .read("config.json", 0, Math.toIntExact(model.store().length("config.json")));
        byte[] json = new byte[bytes.remaining()];
        bytes.get(json);
        JsonNode config = new ObjectMapper().readTree(json);
        GgufFamily family = GgufFamily.written(model.config().modelType());
        return new GgufExport(model, format, new GgufMetadata(family, model, config));
    }

    /**
     * All tensors, in order. {@link quern.QuernException} where there are some that llama.cpp has no name for.
     *
     * @param names of the model's tensors, in order
     * @param schemes of the linears that are quantized
     */
    public List<GgufLayout.Tensor> tensors(List<String> names, Map<String, Scheme> schemes) {
        return layout.tensors(names, model.tensors(), schemes, metadata.ropeFactors());
    }

    /** The metadata of the file. {@link quern.QuernException} where llama.cpp could not run what they say. */
    public Map<String, Object> metadata() throws IOException {
        Map<String, Object> all = new LinkedHashMap<>();
        metadata.addTo(all, format.fileType());
        GgufVocabulary.read(model.store(), metadata.json(), model.vocabulary()).addTo(all);
        return all;
    }

    /** Where the packed tensors of quantized linears are. */
    @FunctionalInterface
    public interface Pieces {
        TensorSource of(String linear) throws IOException;
    }

    /** Writes the file. */
    public void write(OutputStream out, List<GgufLayout.Tensor> tensors, Pieces pieces) throws IOException {
        Map<String, GgufLayout.Tensor> byName = new LinkedHashMap<>();
        tensors.forEach(tensor -> byName.put(tensor.name(), tensor));
        List<GgufWriter.Tensor> infos = tensors.stream()
                .map(t -> new GgufWriter.Tensor(t.name(), t.type().number(), t.shape(), t.bytes()))
                .toList();
        GgufWriter.write(out, metadata(), infos, (info, to) -> {
            GgufLayout.Tensor tensor = byName.get(info.name());
            if (tensor == null) {
                throw new IllegalStateException(info.name());
            }
            for (String linear : tensor.linears()) {
                packed(tensor, linear, pieces.of(linear), to);
            }
            for (String source : tensor.quantized() ? List.<String>of() : tensor.sources()) {
                converted(tensor, source, to);
            }
            float[] generated = metadata.ropeFactors().get(tensor.name());
            if (generated != null) {
                SafetensorsWriter.copy(HalfFloats.fromFloats(generated, DType.F32), to);
            }
        });
    }

    /** Rows of blocks out of a piece. */
    private void packed(GgufLayout.Tensor tensor, String linear, TensorSource piece, OutputStream out)
            throws IOException {
        String name = linear + ".weight";
        int row = Math.toIntExact(tensor.type().bytes(tensor.cols()));
        int rows =
                Math.toIntExact(piece.spec(name).shape().get(0)) / order(tensor).turns();
        int together = together(tensor, tensor.cols());
        for (int from = 0; from < rows; from += together) {
            int count = Math.min(together, rows - from);
            Placed placed = new Placed(tensor, from, rows);
            ByteBuffer bytes = piece.read(name, (long) placed.first() * row, placed.span(count) * row);
            for (int r = 0; r < count; r++) {
                SafetensorsWriter.copy(bytes.slice(bytes.position() + placed.at(r) * row, row), out);
            }
        }
    }

    /** Rows of the source in the type of the file. */
    private void converted(GgufLayout.Tensor tensor, String source, OutputStream out) throws IOException {
        if (!model.tensors().names().contains(source)) {
            slice(tensor, source, out);
            return;
        }
        TensorSpec spec = model.tensors().spec(source);
        int cols = spec.shape().size() == 1 || tensor.name().endsWith(".bias") ? 1 : tensor.cols();
        int rows = Math.toIntExact(spec.elements() / cols) / order(tensor).turns();
        int together = together(tensor, cols);
        int width = spec.dtype().bytes();
        for (int from = 0; from < rows; from += together) {
            int count = Math.min(together, rows - from);
            Placed placed = new Placed(tensor, from, rows);
            int span = placed.span(count);
            float[] values = HalfFloats.toFloats(
                    model.tensors().read(source, (long) placed.first() * cols * width, span * cols * width),
                    spec.dtype(),
                    span * cols);
            write(tensor, source, placed.of(values, count, cols), cols, out);
        }
    }

    /** A linear that is a slice of a tensor, and not quantized. */
    private void slice(GgufLayout.Tensor tensor, String source, OutputStream out) throws IOException {
        String linear = source.substring(0, source.length() - ".weight".length());
        Matrix weight = model.weight(model.linear(layer(tensor), linear));
        int rows = weight.rows() / order(tensor).turns();
        Placed placed = new Placed(tensor, 0, rows);
        float[] from =
                Arrays.copyOfRange(weight.values(), placed.first() * weight.cols(), weight.rows() * weight.cols());
        write(tensor, source, placed.of(from, rows, weight.cols()), weight.cols(), out);
    }

    private static int layer(GgufLayout.Tensor tensor) {
        return Integer.parseInt(tensor.name().split("\\.")[1]);
    }

    private void write(GgufLayout.Tensor tensor, String source, float[] values, int cols, OutputStream out)
            throws IOException {
        float offset = metadata.family().offset(tensor.name());
        for (int i = 0; offset != 0 && i < values.length; i++) {
            values[i] += offset;
        }
        if (tensor.type() == GgufType.F16) {
            requireHalf(source, values);
        }
        SafetensorsWriter.copy(encoded(tensor.type(), values, cols), out);
    }

    private static void requireHalf(String name, float[] values) {
        float most = Matrix.largest(values, 0, values.length);
        if (HalfFloats.round(most, DType.F16) > LARGEST_HALF) {
            throw new QuernException(
                    "Cannot write %s in half floats: it holds %s, and they end at %s (use --format gguf-bf16)"
                            .formatted(name, most, (int) LARGEST_HALF));
        }
    }

    private ByteBuffer encoded(GgufType type, float[] values, int cols) {
        Scheme scheme = type.scheme();
        if (scheme == null) {
            DType plain = type.plain();
            return HalfFloats.fromFloats(values, plain == null ? DType.F32 : plain);
        }
        Matrix rows = new Matrix(values.length / cols, cols, values);
        return format.pack(RoundToNearest.quantize(rows, scheme)).get(0);
    }

    /** Rows that are read at a time: whole heads, and where these change places one. */
    private int together(GgufLayout.Tensor tensor, int cols) {
        int head = model.config().headDim();
        return order(tensor) == RowOrder.PARTS ? head : Math.max(1, SLICE / cols / head) * head;
    }

    private RowOrder order(GgufLayout.Tensor tensor) {
        return metadata.family().order(tensor.name());
    }

    /** Where the rows of the file from {@code from} on stand in the source. */
    private final class Placed {
        private final RowOrder order;
        private final int from;
        private final int rows;
        private final int head = model.config().headDim();

        Placed(GgufLayout.Tensor tensor, int from, int rows) {
            this.order = order(tensor);
            this.from = from;
            this.rows = rows;
        }

        /** The first of them there. */
        int first() {
            return order.source(from, rows, head);
        }

        /** Row {@code r}, counted from the first. */
        int at(int r) {
            return order.source(from + r, rows, head) - first();
        }

        /** How many rows there hold so many. */
        int span(int count) {
            return (count - 1) * order.turns() + 1;
        }

        /** So many rows out of those there. */
        float[] of(float[] values, int count, int cols) {
            float[] placed = new float[count * cols];
            for (int r = 0; r < count; r++) {
                System.arraycopy(values, at(r) * cols, placed, r * cols, cols);
            }
            return placed;
        }
    }
}
