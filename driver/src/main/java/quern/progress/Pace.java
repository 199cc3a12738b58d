package quern.progress;

import java.time.Duration;
import java.time.Instant;
import java.util.Locale;

/** How far a stage is, and the words for it. Guarded by its display's lock. */
final class Pace {
    private static final int BAR = 20;

    private final String name;
    private final int layers;
    private final String step;
    private final Instant begun;
    private int finished;
    private long tokens;
    private double loss = Double.NaN;

    /** @param step what is counted: a layer */
    Pace(String name, int layers, String step, Instant begun) {
        this.name = name;
        this.layers = layers;
        this.step = step;
        this.begun = begun;
    }

    void advance(int finished, long tokens, double loss) {
        this.finished = finished;
        this.tokens = tokens;
        this.loss = loss;
    }

    boolean isComplete() {
        return finished >= layers;
    }

    /** One line: {@code stage 1  [####......]  layer 12 of 30  8,190 tokens/s  0.43 of round-to-nearest  ETA 1:20}. */
    String line(Instant now, boolean withBar) {
        double seconds = Math.max(Duration.between(begun, now).toMillis(), 1) / 1000.0;
        StringBuilder line = new StringBuilder(name);
        if (withBar) {
            int filled = layers == 0 ? BAR : (int) Math.min(BAR, (long) BAR * finished / layers);
            line.append("  [")
                    .append("#".repeat(filled))
                    .append(".".repeat(BAR - filled))
                    .append(']');
        }
        line.append("  ")
                .append(step)
                .append(' ')
                .append(finished)
                .append(" of ")
                .append(layers);
        if (tokens > 0) {
            line.append(String.format(Locale.ROOT, "  %,d tokens/s", Math.round(tokens / seconds)));
        }
        if (!Double.isNaN(loss)) {
            line.append(String.format(Locale.ROOT, "  error %.3g of round-to-nearest", loss));
        }
        if (isComplete()) {
            line.append("  done in ").append(clock(seconds));
        } else if (finished > 0) {
            line.append("  ETA ").append(clock(seconds / finished * (layers - finished)));
        }
        return line.toString();
    }

    /** 0:07, 12:40, 3:02:10. */
    private static String clock(double seconds) {
        long s = Math.round(seconds);
        return s < 3600
                ? String.format(Locale.ROOT, "%d:%02d", s / 60, s % 60)
                : String.format(Locale.ROOT, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    }
}
