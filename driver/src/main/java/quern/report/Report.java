package quern.report;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.scheme.Recipe;

/**
 * The facts of one run. Maps keep their order.
 *
 * @param model what a person calls the model
 * @param modelType its family, as its config names it
 * @param source where it was read
 * @param lossy that the source was quantized already, and how, in a sentence; none where it was not
 * @param output where the checkpoint stands
 * @param recipe what was done
 * @param propagation {@code exact}, {@code staged 5}, ...
 * @param calibration the text; none for a method that needs no calibration
 * @param plan the plan as {@code quern plan} prints it, line by line
 * @param linears every quantized linear, in the order of the model
 * @param seconds work by phase (load, calibrate, Hessian, solve, pack, write), summed over tasks
 * @param wallSeconds from the command to the marker of success
 * @param machine what computed
 * @param memory what it took, and what was made smaller to have enough
 * @param size bytes of the weights' files
 * @param widths what was chosen for a target of bits a weight; none where the recipe said the widths
 * @param evaluation quality before and after; none if it was not measured
 * @param versions program to version
 */
@JsonPropertyOrder({
    "model",
    "modelType",
    "source",
    "lossy",
    "output",
    "recipe",
    "propagation",
    "size",
    "evaluation",
    "wallSeconds",
    "seconds"
})
public record Report(
        String model,
        String modelType,
        String source,
        @Nullable String lossy,
        String output,
        Recipe recipe,
        String propagation,
        @Nullable Calibration calibration,
        List<String> plan,
        List<Linear> linears,
        Map<String, Double> seconds,
        double wallSeconds,
        Machine machine,
        Memory memory,
        Size size,
        @Nullable Widths widths,
        @Nullable Evaluation evaluation,
        Map<String, String> versions) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    public Report {
        plan = List.copyOf(plan);
        linears = List.copyOf(linears);
        seconds = ordered(seconds);
        versions = ordered(versions);
    }

    /** The content of {@code report.json}. */
    public String json() {
        try {
            return JSON.writeValueAsString(this) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("The report's facts are plain values", e);
        }
    }

    /** The content of {@code report.html}. */
    public String html() {
        return Page.of(this);
    }

    /**
     * The tokens that calibrated.
     *
     * @param text name or path of the text
     * @param sha256 hash of the token ids, by which runs of other programs can be compared
     */
    public record Calibration(String text, long sequences, long length, long tokens, String sha256) {}

    /**
     * One quantized linear.
     *
     * @param layer its layer, from 0
     * @param name its full name, as in the checkpoint, without {@code .weight}
     * @param linear its name within the layer: {@code self_attn.q_proj}
     * @param expert the expert that it belongs to, from 0; -1 where every token passes it
     * @param tokens that calibrated it
     * @param bits of its codes
     * @param loss squared error of its outputs, summed over outputs, per token
     * @param roundToNearest the same for round-to-nearest
     * @param notes what must be said of it: a raised damping, a fall-back; empty in the ordinary case
     */
    public record Linear(
            int layer,
            String name,
            String linear,
            int expert,
            long tokens,
            int outputs,
            int inputs,
            int bits,
            double loss,
            double roundToNearest,
            List<String> notes) {
        public Linear {
            notes = List.copyOf(notes);
        }
    }

    /**
     * @param deviceType what the result's bits depend on
     * @param master Spark's master, or {@code one process}
     */
    public record Machine(String deviceType, String master, int executors) {}

    /**
     * @param plannedBytes the plan's estimate for one executor
     * @param peakBytes what each executor took at most, by its id
     * @param squeezed what was made smaller since a device's memory ran out, a sentence each; empty in the ordinary case
     */
    public record Memory(long plannedBytes, Map<String, Long> peakBytes, List<String> squeezed) {
        public Memory {
            peakBytes = ordered(peakBytes);
            squeezed = List.copyOf(squeezed);
        }
    }

    /**
     * @param before bytes of the source's weights
     * @param after bytes of the checkpoint's weights
     * @param bitsPerWeight stored bits of the quantized linears, scales and zeros included, by weight; 0 where there are none
     */
    public record Size(long before, long after, double bitsPerWeight) {}

    /**
     * Widths of linears that follow from a target.
     *
     * @param target bits a weight that were asked for
     * @param reached what it came to
     * @param curve the least loss for other numbers of bits
     */
    public record Widths(double target, double reached, List<Point> curve) {
        public Widths {
            curve = List.copyOf(curve);
        }
    }

    /** @param loss relative to the outputs, summed over linears */
    public record Point(double bitsPerWeight, double loss) {}

    /**
     * Quality on a text that did not calibrate.
     *
     * @param kl mean KL divergence from the source's distribution, in nats per token
     * @param top1 fraction of tokens on whose first choice both agree
     */
    public record Evaluation(
            String text,
            long windows,
            int window,
            double perplexityBefore,
            double perplexityAfter,
            double kl,
            double top1) {}

    private static <V> Map<String, V> ordered(Map<String, V> map) {
        return Collections.unmodifiableMap(new LinkedHashMap<>(map));
    }
}
