package quern.model;

import java.util.List;

/**
 * The linears of a layer that are given one and the same input, hence one Hessian.
 *
 * @param layer from 0
 * @param name the first linear's name within the layer: {@code self_attn.q_proj}
 * @param inputs columns of the input
 * @param linears in order of use
 */
public record Site(int layer, String name, int inputs, List<Linear> linears) {
    public Site {
        linears = List.copyOf(linears);
    }
}
