package quern.format.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import quern.QuernException;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The tensors of a file: which there are, of which type.
 *
 * @param embedding the tensor of the embedding
 * @param head that of the head, which may be the same
 */
public record GgufLayout(GgufFormat format, GgufFamily family, String embedding, String head) {
    /** What is not stored, since everyone computes it. */
    private static final List<String> COMPUTED = List.of(".rotary_emb.inv_freq", ".masked_bias");

    /**
     * One of them.
     *
     * @param name llama.cpp's
     * @param source the Hugging Face model's; empty where it is generated
     * @param linear the quantized linear that it is, or empty
     * @param shape slowest dimension first
     */
    public record Tensor(String name, String source, String linear, GgufType type, List<Long> shape) {
        public long values() {
            return shape.stream().reduce(1L, Math::multiplyExact);
        }

        public long bytes() {
            return type.bytes(values());
        }

        /** Of its last dimension. */
        public int cols() {
            return Math.toIntExact(shape.get(shape.size() - 1));
        }

        /** As a file's bytes. */
        public TensorSpec spec() {
            return TensorSpec.of(name, DType.U8, bytes());
        }
    }

    /**
     * @param names of the model's tensors, in order
     * @param tensors the model's
     * @param schemes of the linears that are quantized
     * @param ropeFactors how many there are of what frequencies are divided by; 0 for none
     */
    public List<Tensor> tensors(
            List<String> names, TensorSource tensors, Map<String, Scheme> schemes, int ropeFactors) {
        List<Tensor> all = new ArrayList<>();
        if (ropeFactors > 0) {
            all.add(new Tensor(GgufFamily.ROPE_FACTORS, "", "", GgufType.F32, List.of((long) ropeFactors)));
        }
        for (String name : names) {
            boolean second = head.equals(embedding) && name.equals("lm_head.weight"); // a copy of the embedding
            if (!second && COMPUTED.stream().noneMatch(name::endsWith)) {
                all.add(tensor(name, tensors.spec(name), schemes));
            }
        }
        return all;
    }

    private Tensor tensor(String source, TensorSpec spec, Map<String, Scheme> schemes) {
        String name = family.there(source);
        if (name == null) {
            throw new QuernException("Cannot write " + source + " as " + format.name() + ": it has no name in files of "
                    + family.architecture() + " (use another format)");
        }
        String linear = source.endsWith(".weight") ? source.substring(0, source.length() - ".weight".length()) : "";
        Scheme scheme = schemes.get(linear);
        if (scheme != null) {
            return new Tensor(name, source, linear, GgufType.of(scheme), spec.shape());
        }
        return new Tensor(name, source, "", type(source, name, spec), spec.shape());
    }

    private GgufType type(String source, String name, TensorSpec spec) {
        if (source.equals(embedding) || source.equals(head)) {
            int inputs = Math.toIntExact(spec.shape().get(1));
            return format.outside(source.equals(head), inputs);
        }
        if (spec.shape().size() == 1 || name.endsWith("norm.weight")) {
            return GgufType.F32; // what its kernels take
        }
        return format.kept(spec.dtype());
    }
}
