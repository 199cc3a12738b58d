package quern.format.gguf;

import java.util.Locale;

/**
 * Which type each tensor of a file gets, by the name that llama.cpp gives such files: one for most, another for those that cost more when
 * they are rounded. The rules are those of its {@code llama-quant.cpp}.
 */
enum Mixture {
    F16(1, GgufType.F16),
    BF16(32, GgufType.BF16),
    Q4_0(2, GgufType.Q4_0),
    Q4_1(3, GgufType.Q4_1),
    Q8_0(7, GgufType.Q8_0),
    Q5_0(8, GgufType.Q5_0),
    Q5_1(9, GgufType.Q5_1),
    Q2_K(10, GgufType.Q2_K),
    Q3_K_S(11, GgufType.Q3_K),
    Q3_K_M(12, GgufType.Q3_K),
    Q3_K_L(13, GgufType.Q3_K),
    Q4_K_S(14, GgufType.Q4_K),
    Q4_K_M(15, GgufType.Q4_K),
    Q5_K_S(16, GgufType.Q5_K),
    Q5_K_M(17, GgufType.Q5_K),
    Q6_K(18, GgufType.Q6_K),
    IQ4_NL(25, GgufType.IQ4_NL),
    IQ4_XS(30, GgufType.IQ4_XS);

    /** Heads of queries for one of keys and values, from which on the values of the smallest types get more bits. */
    private static final int SHARED = 4;

    private static final int MIXTRAL = 8;

    private final int number;
    private final GgufType base;

    Mixture(int number, GgufType base) {
        this.number = number;
        this.base = base;
    }

    /** Its {@code general.file_type}. */
    int number() {
        return number;
    }

    GgufType base() {
        return base;
    }

    /** Whether values are stored as they are, in 16 bits. */
    boolean isPlain() {
        return base.scheme() == null;
    }

    /** As it stands behind {@code gguf-}. */
    String option() {
        return name().toLowerCase(Locale.ROOT);
    }

    /**
     * What a linear depends on.
     *
     * @param role its name within a layer: {@code attn_v}
     * @param layer of {@code layers}
     * @param grouped query heads that share one of keys and values
     * @param experts 0 for none
     * @param calibrated whether inputs have been weighed
     */
    record Place(String role, int inputs, int layer, int layers, int grouped, int experts, boolean calibrated) {
        private boolean among(int part) {
            return layer < layers / part;
        }

        /** The first eighth, the last, and each third between. */
        private boolean matters() {
            return among(8) || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
        }
    }

    /** The type of a linear, as its inputs fit it. */
    GgufType of(Place place) {
        return isPlain() ? base : fitting(wanted(place), place.inputs());
    }

    private GgufType wanted(Place place) {
        boolean mixtral = place.experts() == MIXTRAL;
        return switch (place.role()) {
            case "attn_v" -> mixtral ? GgufType.Q8_0 : values(place);
            case "attn_qkv" -> joined();
            case "attn_k" -> mixtral ? GgufType.Q8_0 : base;
            case "attn_output" -> attentionOutput(mixtral);
            case "ffn_down", "ffn_down_exps", "ffn_down_shexp" -> down(place);
            default -> base;
        };
    }

    private GgufType values(Place place) {
        boolean shared = place.grouped() >= SHARED;
        return switch (this) {
            case Q2_K -> shared ? GgufType.Q4_K : GgufType.Q3_K;
            case Q3_K_M -> place.layer() < 2 ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case Q4_K_S -> place.layer() < 4 ? GgufType.Q5_K : base;
            case Q4_K_M, Q5_K_M -> place.matters() ? GgufType.Q6_K : base;
            case IQ4_NL, IQ4_XS -> shared ? GgufType.Q5_K : base;
            default -> base;
        };
    }

    /** Of q, k and v in one. */
    private GgufType joined() {
        return switch (this) {
            case Q3_K_M, Q3_K_L -> GgufType.Q4_K;
            case Q4_K_M -> GgufType.Q5_K;
            case Q5_K_M -> GgufType.Q6_K;
            default -> base;
        };
    }

    private GgufType attentionOutput(boolean mixtral) {
        return switch (this) {
            case Q2_K -> mixtral ? GgufType.Q5_K : GgufType.Q3_K;
            case Q3_K_M -> mixtral ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case Q3_K_S, Q4_K_S, Q4_K_M, IQ4_NL, IQ4_XS -> mixtral ? GgufType.Q5_K : base;
            default -> base;
        };
    }

    private GgufType down(Place place) {
        return switch (this) {
            case Q2_K -> GgufType.Q3_K;
            case Q3_K_M -> place.among(16) ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case Q4_K_S -> place.among(8) ? GgufType.Q5_K : base;
            case Q4_K_M, Q5_K_M -> place.matters() ? GgufType.Q6_K : base;
            case Q4_0 -> place.calibrated() && place.among(8) ? GgufType.Q4_1 : base;
            case Q5_0 -> place.calibrated() && place.among(8) ? GgufType.Q5_1 : base;
            case IQ4_NL, IQ4_XS -> !place.calibrated() && place.among(8) ? GgufType.Q5_K : base;
            default -> base;
        };
    }

    /** The type of the head, or of the embedding that is the head, too. */
    GgufType head(int inputs) {
        if (isPlain() || base == GgufType.Q8_0) {
            return fitting(base, inputs);
        }
        return GgufType.Q6_K.fits(inputs) ? GgufType.Q6_K : fitting(GgufType.Q8_0, inputs);
    }

    /** The type of an embedding that is not the head. */
    GgufType embedding(int inputs) {
        return fitting(base, inputs);
    }

    /** What llama.cpp takes where rows are not whole blocks. */
    static GgufType fitting(GgufType type, int inputs) {
        if (type.fits(inputs)) {
            return type;
        }
        GgufType smaller = switch (type) {
            case Q2_K, Q3_K -> GgufType.Q4_0;
            case Q4_K -> GgufType.Q5_0;
            case Q5_K -> GgufType.Q5_1;
            case Q6_K -> GgufType.Q8_0;
            case IQ4_XS -> GgufType.IQ4_NL;
            default -> GgufType.F16;
        };
        return smaller.fits(inputs) ? smaller : GgufType.F16;
    }
}
