package quern.format.quark;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.FixedScale;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.FixedScales;
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

/** AMD's Quark, with a scale a row; the package's description is its specification. */
public final class Quark extends ByteFormat {
    private static final String METHOD = "quark";

    private final String type;

    private Quark(String name, String type, Grid grid) {
        super(name, new ByteMatrix(grid, ".weight", ".weight_scale", ByteMatrix.Shape.VECTOR));
        this.type = type;
    }

    public static Quark fp8() {
        return new Quark("quark-fp8", "fp8_e4m3", LevelGrid.E4M3);
    }

    public static Quark int8() {
        return new Quark("quark-int8", "int8", new IntegerGrid(8, true, false));
    }

    @Override
    public String readers() {
        return "quark";
    }

    /** With integers, inputs have a fixed scale always: the loaders' oldest and widest path. */
    @Override
    public Recipe settled(Recipe recipe) {
        Recipe settled = super.settled(recipe);
        return matrix().integers()
                ? settled.with(new FixedScales(true, recipe.fixed().cache()))
                : settled;
    }

    /** Zero points of integers are 0, and Quark's own loader asks for them. */
    private boolean zeroPoints() {
        return matrix().integers();
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        List<TensorSpec> tensors = new ArrayList<>(super.layout(linear, outputs, inputs, scheme));
        if (zeroPoints()) {
            tensors.add(TensorSpec.of(linear + ".weight_zero_point", DType.I8, outputs));
            tensors.add(TensorSpec.of(linear + ".input_zero_point", DType.I8));
        }
        return tensors;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        List<ByteBuffer> tensors = new ArrayList<>(super.pack(q));
        if (zeroPoints()) {
            tensors.add(ByteBuffer.allocate(q.outputs()));
            tensors.add(ByteBuffer.allocate(1));
        }
        return tensors;
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        QuantizedLinear q = super.unpack(linear, tensors, scheme);
        if (zeroPoints()) {
            StoredLinear stored = new StoredLinear(tensors, linear);
            zero(stored, ".weight_zero_point", q.outputs());
            zero(stored, ".input_zero_point");
        }
        return q;
    }

    private static void zero(StoredLinear stored, String suffix, long... shape) throws IOException {
        ByteBuffer points = stored.read(suffix, DType.I8, shape);
        while (points.hasRemaining()) {
            byte point = points.get();
            if (point != 0) {
                throw stored.unreadable(suffix, "it holds " + point + ", only 0 is read");
            }
        }
    }

    @Override
    public FixedScale inputScale(DType weights) {
        return FixedScale.multiplier(".input_scale", DType.F32, matrix().integers() ? 127.5f : LevelGrid.E4M3.reach());
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> export = new LinkedHashMap<>();
        export.put("kv_cache_group", List.of());
        export.put("min_kv_scale", 0.0);
        export.put("pack_method", "reorder");
        export.put("weight_format", "real_quantized");
        export.put("weight_merge_groups", null);

        Map<String, Object> global = new LinkedHashMap<>();
        global.put("weight", tensor("per_channel", 0, false));
        global.put(
                "input_tensors",
                recipe.fixed().inputs() ? tensor("per_tensor", null, false) : tensor("per_channel", 1, true));
        global.put("output_tensors", null);
        global.put("bias", null);

        List<String> exclude = new ArrayList<>(List.of("lm_head"));
        for (String name : kept) {
            exclude.add(KeptModules.isWhole(name) ? "re:" + KeptModules.regex(name) : name);
        }
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("export", export);
        block.put("global_quant_config", global);
        block.put("layer_quant_config", Map.of());
        block.put("layer_type_quant_config", Map.of());
        block.put("exclude", exclude);
        return block;
    }

    private Map<String, Object> tensor(String scheme, @Nullable Integer axis, boolean dynamic) {
        Map<String, Object> tensor = new LinkedHashMap<>();
        tensor.put("dtype", type);
        tensor.put("qscheme", scheme);
        tensor.put("ch_axis", axis);
        tensor.put("group_size", null);
        tensor.put("symmetric", true);
        tensor.put("is_dynamic", dynamic);
        tensor.put("round_method", "half_even");
        tensor.put("scale_type", "float");
        tensor.put(
                "observer_cls", scheme.equals("per_tensor") ? "PerTensorMinMaxObserver" : "PerChannelMinMaxObserver");
        return tensor;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings block = new Settings(quantizationConfig);
        Settings weight = block.part("global_quant_config").part("weight");
        return METHOD.equals(block.text("quant_method"))
                        && type.equals(weight.text("dtype"))
                        && "per_channel".equals(weight.text("qscheme"))
                ? Schemes.all(scheme(ColumnOrder.OFF, DType.F32))
                : null;
    }
}
