package quern.format.fbgemm;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.LevelGrid;
import quern.scheme.Recipe;
import quern.scheme.Schemes;
import quern.tensor.DType;

/** {@code fbgemm_fp8}; the package's description is its specification. */
public final class FbgemmFp8 extends ByteFormat {
    private static final String METHOD = "fbgemm_fp8";

    /** The largest magnitude of a token's inputs that their scales reach, as in Meta's Llama checkpoints. */
    private static final double LARGEST_INPUT = 1200;

    public FbgemmFp8() {
        super("fbgemm-fp8", new ByteMatrix(LevelGrid.E4M3, ".weight", ".weight_scale", ByteMatrix.Shape.MATRIX));
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        List<String> left = new ArrayList<>(List.of("lm_head"));
        left.addAll(KeptModules.parts(kept, quantized, name()));
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("activation_scale_ub", LARGEST_INPUT);
        block.put("modules_to_not_convert", left);
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return METHOD.equals(new Settings(quantizationConfig).text("quant_method"))
                ? Schemes.all(scheme(ColumnOrder.OFF, DType.F32))
                : null;
    }
}
