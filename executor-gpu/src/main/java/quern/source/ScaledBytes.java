package quern.source;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * A matrix of bytes and a smaller one of scales.
 *
 * @param scales name of the tensor of scales, scaleRows x scaleCols
 * @param zeros name of the tensor of zeros, shaped like the scales; empty where there is none
 * @param rowsOfScale how many rows of the weight share one
 * @param colsOfScale how many columns do
 */
record ScaledBytes(
        TensorSource tensors,
        String weight,
        int outputs,
        int inputs,
        String scales,
        String zeros,
        int scaleCols,
        int rowsOfScale,
        int colsOfScale)
        implements PackedTensor.Rows {

    /** @param block rows and columns that share a scale, where the config says so; else the shape of the scales does */
    static ScaledBytes of(StoredModel model, String linear, String scales, int @Nullable [] block) {
        List<Long> shape = model.tensors().spec(linear + ".weight").shape();
        TensorSpec spec = model.tensors().spec(linear + "." + scales);
        if (shape.size() != 2 || shape.get(0) > Integer.MAX_VALUE || shape.get(1) > Integer.MAX_VALUE) {
            throw model.unreadable(linear + ".weight is " + shape + ", not a matrix", "download the model again");
        }
        int outputs = shape.get(0).intValue();
        int inputs = shape.get(1).intValue();
        boolean matrix = spec.shape().size() == 2;
        long rows = matrix ? spec.shape().get(0) : spec.elements();
        long cols = matrix ? spec.shape().get(1) : 1;
        long rowsOfScale = rows == 0 ? 0 : outputs / rows;
        long colsOfScale = cols == 0 ? 0 : inputs / cols;
        boolean fits = (rows == 1 || rows == outputs) && cols * colsOfScale == inputs;
        if (block != null && rows * cols > 1) {
            rowsOfScale = block[0];
            colsOfScale = block[1];
            fits = rows == up(outputs, rowsOfScale) && cols == up(inputs, colsOfScale);
        }
        if (!fits || rowsOfScale == 0 || colsOfScale == 0) {
            throw model.unreadable(
                    linear + "." + scales + " is " + spec.shape() + ", which does not fit a weight of " + outputs
                            + " x " + inputs,
                    "use the config.json that belongs to the weights");
        }
        String zeros = linear + ".weight_zero_point";
        return new ScaledBytes(
                model.tensors(),
                linear + ".weight",
                outputs,
                inputs,
                linear + "." + scales,
                model.has(zeros) ? zeros : "",
                (int) cols,
                (int) rowsOfScale,
                (int) colsOfScale);
    }

    private static long up(long a, long b) {
        return (a + b - 1) / b;
    }

    /** How the scales lie, for a person. */
    String kind() {
        String values = tensors.spec(weight).dtype() == DType.I8 ? "8-bit integers" : "8-bit floats";
        if (rowsOfScale == outputs && colsOfScale == inputs) {
            return values + " with one scale";
        }
        if (rowsOfScale == 1) {
            return values + (colsOfScale == inputs ? " with a scale a row" : " in groups of " + colsOfScale);
        }
        return values + " in blocks of " + rowsOfScale + " x " + colsOfScale;
    }

    @Override
    public float[] read(int from, int count) throws IOException {
        float[] values = floats(weight, (long) from * inputs, count * inputs);
        int first = from / rowsOfScale;
        int rows = (from + count + rowsOfScale - 1) / rowsOfScale - first;
        float[] scale = floats(scales, (long) first * scaleCols, rows * scaleCols);
        float[] zero =
                zeros.isEmpty() ? new float[scale.length] : floats(zeros, (long) first * scaleCols, rows * scaleCols);
        for (int r = 0; r < count; r++) {
            int row = ((from + r) / rowsOfScale - first) * scaleCols;
            for (int c = 0; c < inputs; c++) {
                int at = row + c / colsOfScale;
                values[r * inputs + c] = scale[at] * (values[r * inputs + c] - zero[at]);
            }
        }
        return values;
    }

    private float[] floats(String name, long from, int count) throws IOException {
        DType type = tensors.spec(name).dtype();
        float[] values = HalfFloats.toFloats(
                tensors.read(name, from * type.bytes(), Math.multiplyExact(count, type.bytes())), type, count);
        if (type == DType.U8) {
            for (int i = 0; i < count; i++) {
                values[i] = MicroFloats.powerOfTwo((int) values[i]);
            }
        }
        return values;
    }
}
