package quern.format.torchao;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Eight bits and a scale a row; the package's description is its specification. */
public final class TorchAoBytes extends ByteFormat {
    private static final String ZEROS = "._weight_zero_point";

    private final String config;

    private TorchAoBytes(String name, String config, Grid grid) {
        super(name, new ByteMatrix(grid, "._weight_qdata", "._weight_scale", ByteMatrix.Shape.MATRIX));
        this.config = config;
    }

    public static TorchAoBytes int8() {
        return new TorchAoBytes("torchao-int8", "Int8WeightOnlyConfig", new IntegerGrid(8, true, false));
    }

    public static TorchAoBytes fp8() {
        return new TorchAoBytes("torchao-fp8", "Float8WeightOnlyConfig", LevelGrid.E4M3);
    }

    @Override
    public String readers() {
        return "torchao";
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        List<TensorSpec> specs = new ArrayList<>(super.layout(linear, outputs, inputs, scheme));
        if (matrix().integers()) {
            specs.add(TensorSpec.of(linear + ZEROS, DType.I8, outputs, 1));
        }
        return specs;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        List<ByteBuffer> buffers = new ArrayList<>(super.pack(q));
        if (matrix().integers()) {
            buffers.add(ByteBuffer.allocate(q.outputs()));
        }
        return buffers;
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        QuantizedLinear q = super.unpack(linear, tensors, scheme);
        StoredLinear stored = new StoredLinear(tensors, linear);
        ByteBuffer zeros = matrix().integers() ? stored.read(ZEROS, DType.I8, q.outputs(), 1) : ByteBuffer.allocate(0);
        while (zeros.hasRemaining()) {
            if (zeros.get() != 0) {
                throw stored.unreadable(ZEROS, "it holds a zero point, in a symmetric format");
            }
        }
        return q;
    }

    @Override
    public Map<String, String> metadata(List<LinearSpec> linears, List<String> others, DType weights) {
        return TorchAo.metadata(linears, others, linear -> {
            Map<String, Object> data = new LinkedHashMap<>();
            data.put("block_size", TorchAo.block(linear));
            data.put("act_quant_kwargs", null);
            data.put("dtype", TorchAo.type(weights));
            if (matrix().integers()) {
                data.put("reduce_range", false);
                return TorchAo.weight("Int8Tensor", data, List.of("qdata", "scale", "zero_point"));
            }
            data.put("mm_config", null);
            data.put("kernel_preference", TorchAo.object("KernelPreference", "AUTO"));
            return TorchAo.weight("Float8Tensor", data, List.of("qdata", "scale"));
        });
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("granularity", TorchAo.versioned("PerRow", 1, Map.of("dim", -1)));
        data.put("set_inductor_config", true);
        if (matrix().integers()) {
            data.put("group_size", null);
        } else {
            data.put("weight_dtype", TorchAo.type("float8_e4m3fn"));
        }
        return TorchAo.config(TorchAo.versioned(config, 2, data));
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return TorchAo.config(quantizationConfig, config) == null
                ? null
                : Schemes.all(scheme(ColumnOrder.OFF, DType.F32));
    }
}
