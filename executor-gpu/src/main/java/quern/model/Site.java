package quern.model;

import java.util.List;

/**
 * The linears of a layer that are given one and the same input, hence one Hessian.
 *
 * @param layer from 0
 * @param expert whose it is, from 0, which then sees only the tokens that are sent to it; {@link #SHARED} for the layer's own
 * @param rank its place among the steps of the layer: the sites of all experts at one step have one rank
 * @param name the first linear's name within the layer: {@code self_attn.q_proj}
 * @param inputs columns of the input
 * @param linears in order of use
 */
public record Site(int layer, int expert, int rank, String name, int inputs, List<Linear> linears) {
    /** The expert of what every token passes. */
    public static final int SHARED = -1;

    public Site {
        linears = List.copyOf(linears);
    }
}
