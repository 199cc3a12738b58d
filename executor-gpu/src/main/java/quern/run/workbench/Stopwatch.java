package quern.run.workbench;

import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.LongAdder;

/** Busy nanoseconds per phase, added up over tasks, and how often something had to be made smaller. */
public final class Stopwatch {
    private final Map<Phase, LongAdder> nanos = new EnumMap<>(Phase.class);
    private final Map<Squeeze, LongAdder> squeezed = new EnumMap<>(Squeeze.class);

    public Stopwatch() {
        for (Phase phase : Phase.values()) {
            nanos.put(phase, new LongAdder());
        }
        for (Squeeze squeeze : Squeeze.values()) {
            squeezed.put(squeeze, new LongAdder());
        }
    }

    public void add(Phase phase, long elapsed) {
        adder(phase).add(elapsed);
    }

    public void add(Stopwatch other) {
        for (Phase phase : Phase.values()) {
            add(phase, other.nanos(phase));
        }
        for (Squeeze squeeze : Squeeze.values()) {
            add(squeeze, other.times(squeeze));
        }
    }

    public void add(Squeeze squeeze, long times) {
        Objects.requireNonNull(squeezed.get(squeeze)).add(times);
    }

    public long times(Squeeze squeeze) {
        return Objects.requireNonNull(squeezed.get(squeeze)).sum();
    }

    public long nanos(Phase phase) {
        return adder(phase).sum();
    }

    public double seconds(Phase phase) {
        return nanos(phase) / 1e9;
    }

    private LongAdder adder(Phase phase) {
        return Objects.requireNonNull(nanos.get(phase));
    }

    /** Times a body. */
    public <T, E extends Exception> T time(Phase phase, Body<T, E> body) throws E {
        long start = System.nanoTime();
        try {
            return body.run();
        } finally {
            add(phase, System.nanoTime() - start);
        }
    }

    @FunctionalInterface
    public interface Body<T, E extends Exception> {
        T run() throws E;
    }
}
