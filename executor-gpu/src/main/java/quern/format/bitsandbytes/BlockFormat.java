package quern.format.bitsandbytes;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.Format;
import quern.format.Joint;
import quern.format.Nibbles;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Four bits; the package's description is the specification. */
public final class BlockFormat implements Format {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int BLOCK = 64;

    /** The state with the longest of its numbers, and more. */
    private static final int STATE = 256;

    private final LevelGrid grid;
    private final boolean nested;
    private final String type;
    private final byte[] codeOfPlace;
    private final Nibbles nibbles;

    private BlockFormat(LevelGrid grid, String type, boolean nested) {
        this.grid = grid;
        this.type = type;
        this.nested = nested;
        codeOfPlace = new byte[grid.levels().length];
        for (int place = 0; place < codeOfPlace.length; place++) {
            codeOfPlace[place] = (byte) (grid == LevelGrid.NF4 ? place : fp4Code(place - 7));
        }
        byte[] placeOfCode = new byte[16];
        for (int place = 0; place < codeOfPlace.length; place++) {
            placeOfCode[codeOfPlace[place]] = (byte) place;
        }
        if (grid == LevelGrid.FP4) {
            placeOfCode[8] = placeOfCode[0]; // the library has two zeros
        }
        nibbles = new Nibbles(codeOfPlace, placeOfCode, false);
    }

    public static BlockFormat nf4() {
        return new BlockFormat(LevelGrid.NF4, "nf4", false);
    }

    /** With the magnitudes of blocks in 8 bits. */
    public static BlockFormat nf4Nested() {
        return new BlockFormat(LevelGrid.NF4, "nf4", true);
    }

    public static BlockFormat fp4() {
        return new BlockFormat(LevelGrid.FP4, "fp4", false);
    }

    /** Sign and magnitude; the magnitudes stand in the order 0, 1/192, 2/3, 1, 1/3, 1/2, 1/6, 1/4. */
    private static int fp4Code(int signed) {
        int[] code = {0, 1, 6, 7, 4, 5, 2, 3};
        return code[Math.abs(signed)] | (signed < 0 ? 8 : 0);
    }

    @Override
    public String name() {
        return "bitsandbytes-" + type + (nested ? "-nested" : "");
    }

    @Override
    public String readers() {
        return "bitsandbytes";
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F32;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orOwn("rtn", 4, BLOCK);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        require(recipe.symmetric(), "it has no zero points (leave --asym away)");
        require(recipe.bits() == 4, "its codes have 4 bits (leave --bits away)");
        require(recipe.groupSize() == BLOCK, "its blocks are of " + BLOCK + " inputs (leave --group-size away)");
        require(recipe.actOrder() != ColumnOrder.FULL, "it has no place for the order of full act-order (use static)");
        return new Scheme(grid, recipe.groupSize(), 1, recipe.actOrder(), DType.F32);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public boolean keepsScales() {
        return !nested;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int blocks = Math.multiplyExact(outputs, scheme.groups(inputs));
        List<TensorSpec> specs = new ArrayList<>(List.of(
                TensorSpec.of(linear + ".weight", DType.U8, (long) outputs * inputs / 2, 1),
                TensorSpec.of(linear + ".weight.absmax", nested ? DType.U8 : DType.F32, blocks),
                TensorSpec.of(linear + ".weight.quant_map", DType.F32, 16)));
        if (nested) {
            specs.add(TensorSpec.of(linear + ".weight.nested_absmax", DType.F32, NestedScales.blocks(blocks)));
            specs.add(TensorSpec.of(linear + ".weight.nested_quant_map", DType.F32, 256));
        }
        specs.add(TensorSpec.of(linear + state(), DType.U8, STATE));
        return specs;
    }

    private String state() {
        return ".weight.quant_state.bitsandbytes__" + type;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return pack(q, q.outputs());
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q, int outputs) {
        Map<String, Object> state = new LinkedHashMap<>();
        state.put("quant_type", type);
        state.put("blocksize", q.scheme().groupLength(q.inputs()));
        state.put("dtype", "bfloat16");
        state.put("shape", List.of(outputs, q.inputs()));
        List<ByteBuffer> buffers = new ArrayList<>(List.of(ByteBuffer.wrap(nibbles.pack(q.codes()))));
        ByteBuffer map = HalfFloats.fromFloats(quantMap(), DType.F32);
        if (nested) {
            NestedScales scales = NestedScales.of(q.scales());
            state.put("nested_blocksize", NestedScales.BLOCK);
            state.put("nested_dtype", "float32");
            state.put("nested_offset", (double) scales.offset());
            buffers.addAll(List.of(
                    ByteBuffer.wrap(scales.codes()),
                    map,
                    HalfFloats.fromFloats(scales.largest(), DType.F32),
                    HalfFloats.fromFloats(NestedScales.MAP.values(), DType.F32)));
        } else {
            buffers.addAll(List.of(HalfFloats.fromFloats(q.scales(), DType.F32), map));
        }
        buffers.add(text(state));
        return buffers;
    }

    private static ByteBuffer text(Map<String, Object> state) {
        try {
            byte[] padded = Arrays.copyOf(JSON.writeValueAsBytes(state), STATE);
            for (int i = STATE; i-- > 0 && padded[i] == 0; ) {
                padded[i] = ' ';
            }
            return ByteBuffer.wrap(padded);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The values by code. */
    private float[] quantMap() {
        float[] map = new float[16];
        for (int place = 0; place < codeOfPlace.length; place++) {
            map[codeOfPlace[place]] = grid.levels()[place];
        }
        return map;
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return nested ? List.of() : List.of(Joint.ROWS, Joint.ROWS, Joint.SAME, Joint.SAME);
    }

    @Override
    public String codes() {
        return "weight" + state().substring(".weight".length());
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        JsonNode shape = state(stored).path("shape");
        int outputs = shape.path(0).asInt();
        int inputs = shape.path(1).asInt();
        if (outputs < 1 || inputs < 1 || inputs % 2 != 0) {
            throw stored.unreadable(state(), "it gives the shape " + shape);
        }
        return new Shape(outputs, inputs);
    }

    private JsonNode state(StoredLinear stored) throws IOException {
        ByteBuffer bytes = stored.bytes(state());
        try {
            return JSON.readTree(StandardCharsets.UTF_8.decode(bytes).toString());
        } catch (JsonProcessingException e) {
            throw stored.unreadable(state(), "it is not JSON");
        }
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        int size = Math.multiplyExact(shape.outputs(), shape.inputs());
        JsonNode state = state(stored);
        int block = state.path("blocksize").asInt();
        if (block < 1 || shape.inputs() % block != 0) {
            throw stored.unreadable(state(), "blocks of " + block + " do not divide rows of " + shape.inputs());
        }
        requireTable(stored, ".weight.quant_map", quantMap());
        ByteBuffer pairs = stored.read(".weight", DType.U8, size / 2, 1);
        float[] scales = scales(stored, state, size / block);
        return new QuantizedLinear(
                new Scheme(grid, block, 1, scheme.order(), DType.F32),
                shape.outputs(),
                shape.inputs(),
                nibbles.unpack(pairs),
                scales,
                new float[scales.length],
                QuantizedLinear.runs(shape.inputs(), block));
    }

    private static void requireTable(StoredLinear stored, String suffix, float[] expected) throws IOException {
        float[] found =
                HalfFloats.toFloats(stored.read(suffix, DType.F32, expected.length), DType.F32, expected.length);
        for (int i = 0; i < found.length; i++) {
            if (Math.abs(found[i] - expected[i]) > 1e-6f) {
                throw stored.unreadable(suffix, "it is not the table that the library writes");
            }
        }
    }

    private static float[] scales(StoredLinear stored, JsonNode state, int blocks) throws IOException {
        if (!state.has("nested_offset")) {
            return HalfFloats.toFloats(stored.read(".weight.absmax", DType.F32, blocks), DType.F32, blocks);
        }
        requireTable(stored, ".weight.nested_quant_map", NestedScales.MAP.values());
        byte[] codes = new byte[blocks];
        stored.read(".weight.absmax", DType.U8, blocks).get(codes);
        int outer = NestedScales.blocks(blocks);
        ByteBuffer largest = stored.read(".weight.nested_absmax", DType.F32, outer);
        float offset = (float) state.path("nested_offset").asDouble();
        return new NestedScales(codes, HalfFloats.toFloats(largest, DType.F32, outer), offset).values();
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> block = Config.write(true, kept);
        block.put("bnb_4bit_quant_type", type);
        block.put("bnb_4bit_use_double_quant", nested);
        block.put("bnb_4bit_compute_dtype", "bfloat16");
        block.put("bnb_4bit_quant_storage", "uint8");
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings block = new Settings(quantizationConfig);
        boolean ours = Config.is(block, true)
                && type.equals(block.text("bnb_4bit_quant_type"))
                && nested == block.flag("bnb_4bit_use_double_quant", false);
        return ours ? Schemes.all(new Scheme(grid, BLOCK, 1, ColumnOrder.OFF, DType.F32)) : null;
    }

    private void require(boolean holds, String reason) {
        if (!holds) {
            throw Config.refused(name(), reason);
        }
    }
}
