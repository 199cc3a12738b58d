package quern.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** A format of a byte a weight: what is left to it is the config, the type of scales, and further tensors if it has any. */
public abstract class ByteFormat implements Format {
    private final String name;
    private final ByteMatrix matrix;

    protected ByteFormat(String name, ByteMatrix matrix) {
        this.name = name;
        this.matrix = matrix;
    }

    @Override
    public final String name() {
        return name;
    }

    protected final ByteMatrix matrix() {
        return matrix;
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F32;
    }

    /** Integers are worth a calibration, floats of 8 bits are not. */
    @Override
    public Recipe settled(Recipe recipe) {
        return matrix.integers() && matrix.shape() != ByteMatrix.Shape.ONE
                ? recipe.orElse("gptq", 8, -1, ScaleRule.SALIENCY)
                : recipe.orOwn("rtn", 8, -1);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 8 || recipe.groupSize() != -1 || !recipe.symmetric()) {
            throw new QuernException(("Cannot write format %s: it is of 8 bits, symmetric, with %s"
                            + " (leave --bits, --group-size and --asym away)")
                    .formatted(name, matrix.shape() == ByteMatrix.Shape.ONE ? "one scale" : "a scale a row"));
        }
        return scheme(recipe.actOrder(), scaleType(weights));
    }

    /** The one that it has. */
    protected final Scheme scheme(ColumnOrder order, DType scaleType) {
        return new Scheme(matrix.grid(), -1, matrix.shape() == ByteMatrix.Shape.ONE ? -1 : 1, order, scaleType);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return matrix.layout(linear, outputs, inputs, scheme);
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return matrix.pack(q);
    }

    /** Tensors that grow with the rows are joined; others are the same in all panels. */
    @Override
    public List<Joint> joints(Scheme scheme) {
        if (matrix.shape() == ByteMatrix.Shape.ONE) {
            return List.of();
        }
        int rows = 2;
        return layout("", rows, 1, scheme).stream()
                .map(tensor -> tensor.elements() == rows ? Joint.ROWS : Joint.SAME)
                .toList();
    }

    @Override
    public String codes() {
        return matrix.scales().substring(1); // what the unquantized model does not have
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        return matrix.shape(linear, tensors);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return matrix.unpack(linear, tensors, scheme);
    }
}
