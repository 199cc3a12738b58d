package quern.source;

import java.util.List;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * What all experts have in one tensor of a Hugging Face model, and in one or two of a file: outputs take turns among these.
 *
 * @param name of the one
 * @param parts names of the others
 * @param rows theirs, in the order of the turns
 * @param shape of each
 */
record GgufStack(String name, List<String> parts, List<PackedTensor.Rows> rows, List<Long> shape) {
    /** Of weights, which stand there experts x inputs x outputs, and here experts x outputs x inputs. */
    PackedTensor weights(DType type) {
        int own = Math.toIntExact(shape.get(1));
        int inputs = Math.toIntExact(shape.get(2));
        int outputs = own * rows.size();
        PackedTensor.Rows turned = (from, count) -> {
            float[] values = new float[Math.multiplyExact(count, outputs)];
            for (int e = from / inputs; e * inputs < from + count; e++) {
                int first = Math.max(from, e * inputs);
                int end = Math.min(from + count, (e + 1) * inputs);
                for (int p = 0; p < rows.size(); p++) {
                    float[] expert = rows.get(p).read(e * own, own);
                    for (int o = 0; o < own; o++) {
                        for (int k = first; k < end; k++) {
                            values[(k - from) * outputs + o * rows.size() + p] = expert[o * inputs + k - e * inputs];
                        }
                    }
                }
            }
            return values;
        };
        return new PackedTensor(TensorSpec.of(name, type, shape.get(0), inputs, outputs), parts, turned);
    }

    /** Of biases, a row for each expert. */
    PackedTensor biases(DType type) {
        int own = Math.toIntExact(shape.get(1));
        int outputs = own * rows.size();
        PackedTensor.Rows joined = (from, count) -> {
            float[] values = new float[count * outputs];
            for (int p = 0; p < rows.size(); p++) {
                float[] part = rows.get(p).read(from, count);
                for (int i = 0; i < part.length; i++) {
                    values[i * rows.size() + p] = part[i];
                }
            }
            return values;
        };
        return new PackedTensor(TensorSpec.of(name, type, shape.get(0), outputs), parts, joined);
    }
}
