package quern.progress;

import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashSet;
import java.util.Set;

/** Lines drawn again in place, at most ten times a second. */
final class LiveProgress implements Progress {
    private static final Duration FRAME = Duration.ofMillis(100);
    /** More lines than a small terminal has could not be drawn again in place. */
    private static final int MOST_LINES = 12;

    private static final String NO_WRAP = "\u001b[?7l";
    private static final String WRAP = "\u001b[?7h";
    private static final String ERASE_LINE = "\u001b[K";
    private static final String ERASE_BELOW = "\u001b[J";

    private final PrintStream out;
    private final InstantSource clock;
    private final Set<Pace> open = new LinkedHashSet<>();
    private Instant drawn = Instant.MIN;
    private int lines;

    LiveProgress(PrintStream out, InstantSource clock) {
        this.out = out;
        this.clock = clock;
    }

    @Override
    public synchronized Stage stage(String name, int layers, String step) {
        Pace pace = new Pace(name, layers, step, clock.instant());
        open.add(pace);
        draw("");
        return new Stage() {
            @Override
            public void advance(int finished, long tokens, double loss) {
                synchronized (LiveProgress.this) {
                    pace.advance(finished, tokens, loss);
                    if (pace.isComplete()) {
                        settle(pace);
                    } else if (!clock.instant().isBefore(drawn.plus(FRAME))) {
                        draw("");
                    }
                }
            }

            @Override
            public void close() {
                synchronized (LiveProgress.this) {
                    settle(pace);
                }
            }
        };
    }

    /** The last line of a stage is drawn once, and stays: what is said later stands below it. */
    private void settle(Pace pace) {
        if (open.remove(pace)) {
            draw(pace.line(clock.instant(), true));
        }
    }

    @Override
    public synchronized void say(String line) {
        draw(line);
    }

    @Override
    public synchronized void close() {
        open.clear();
        draw("");
    }

    /** One write: up to the first live line, the line that stays, if any, and the live ones. */
    private void draw(String staying) {
        StringBuilder frame = new StringBuilder(NO_WRAP);
        if (lines > 0) {
            frame.append("\u001b[").append(lines).append("A\r");
        }
        if (!staying.isEmpty()) {
            frame.append(WRAP).append(staying).append(ERASE_LINE).append('\n').append(NO_WRAP);
        }
        drawn = clock.instant();
        lines = 0;
        for (Pace pace : open) {
            boolean last = lines == MOST_LINES - 1 && open.size() > MOST_LINES;
            frame.append(last ? "and " + (open.size() - lines) + " more stages" : pace.line(drawn, true));
            frame.append(ERASE_LINE).append('\n');
            lines++;
            if (last) {
                break;
            }
        }
        out.print(frame.append(ERASE_BELOW).append(WRAP));
        out.flush();
    }
}
