package quern.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A linear that holds several projections: how their rows lie in it.
 *
 * @param parts in order
 * @param per where the parts alternate: {@code kv_head}, each key head's rows of every part stand together; {@code row}, they take
 *     turns row by row. Left out where one whole part follows the other
 */
record Fused(
        @JsonProperty(required = true) List<String> parts,
        @Nullable Per per) {
    enum Per {
        @JsonProperty("kv_head")
        KV_HEAD,
        @JsonProperty("row")
        ROW
    }

    Fused {
        parts = List.copyOf(parts);
    }

    /**
     * The rows of a part.
     *
     * @param widths rows of each part in all, in order
     */
    int[] rows(String part, int[] widths, ModelConfig config) {
        int groups = per == null ? 1 : per == Per.ROW ? widths[0] : config.kvHeads();
        int at = parts.indexOf(part);
        int group = Arrays.stream(widths).map(width -> width / groups).sum();
        int before = Arrays.stream(widths, 0, at).map(width -> width / groups).sum();
        int own = widths[at] / groups;
        int[] rows = new int[widths[at]];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = i / own * group + before + i % own;
        }
        return rows;
    }
}
