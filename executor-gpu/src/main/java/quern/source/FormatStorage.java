package quern.source;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.format.Format;
import quern.format.Formats;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/** The formats that Quern itself writes. */
final class FormatStorage implements Storage {
    @Override
    public @Nullable Packed read(StoredModel model) throws IOException {
        for (Format format : Formats.all()) {
            Schemes schemes = format.schemes(model.quantization().values(), DType.F16);
            if (schemes != null) {
                return read(model, format, schemes);
            }
        }
        return null;
    }

    private static Packed read(StoredModel model, Format format, Schemes schemes) throws IOException {
        List<PackedTensor> tensors = new ArrayList<>();
        for (String linear : model.modulesWith(format.codes())) {
            tensors.add(tensor(model, format, schemes.of(linear), linear));
        }
        return new Packed(
                format.name() + ", " + description(schemes.usual()) + (schemes.isOne() ? "" : ", some in others"),
                tensors);
    }

    private static PackedTensor tensor(StoredModel model, Format format, Scheme scheme, String linear)
            throws IOException {
        Format.Shape shape = format.shape(linear, model.tensors(), scheme);
        int rows = model.transposed() ? shape.inputs() : shape.outputs();
        int cols = model.transposed() ? shape.outputs() : shape.inputs();
        return new PackedTensor(
                TensorSpec.of(linear + ".weight", DType.F32, rows, cols), model.partsOf(linear), new WholeMatrix(() -> {
                    Matrix weight =
                            format.unpack(linear, model.tensors(), scheme).dequantize();
                    return model.transposed() ? WholeMatrix.transposed(weight) : weight;
                }));
    }

    static String description(Scheme scheme) {
        return scheme.bits() + " bits in groups of " + (scheme.groupSize() == -1 ? "a whole row" : scheme.groupSize());
    }
}
