package quern.progress;

import java.io.PrintStream;
import java.time.InstantSource;

/**
 * What the flow says of its advance. Safe for use by several threads; several stages may be open side by side. It never
 * throws: a run does not fail because nobody can watch it.
 */
public interface Progress extends AutoCloseable {
    /** Says nothing. */
    Progress SILENT = new Progress() {
        @Override
        public Stage stage(String name, int layers, String step) {
            return new Stage() {
                @Override
                public void advance(int finished, long tokens, double loss) {}

                @Override
                public void close() {}
            };
        }

        @Override
        public void say(String line) {}

        @Override
        public void close() {}
    };

    /**
     * Begins a stage.
     *
     * @param name what a person calls it: {@code stage 2 of 5}
     * @param layers how many layers it has
     */
    default Stage stage(String name, int layers) {
        return stage(name, layers, "layer");
    }

    /**
     * Begins one that is not of layers.
     *
     * @param steps how many
     * @param step what one of them is called: {@code file}
     */
    Stage stage(String name, int steps, String step);

    /** A whole line that stays, above what is drawn live. */
    void say(String line);

    /** Leaves the terminal clean. */
    @Override
    void close();

    /** One line of the display. */
    interface Stage extends AutoCloseable {
        /**
         * @param finished layers finished
         * @param tokens calibration tokens that went through a layer since the stage began: parts x layers x tokens
         * @param loss error of the layer finished last, against round-to-nearest; NaN if there is none
         */
        void advance(int finished, long tokens, double loss);

        /** The stage is over, finished or not. */
        @Override
        void close();
    }

    /** Live on a terminal, plain elsewhere. */
    static Progress of(PrintStream out) {
        return isTerminal()
                ? new LiveProgress(out, InstantSource.system())
                : new PlainProgress(out, InstantSource.system());
    }

    private static boolean isTerminal() {
        return Terminal.isLive(System.console(), System.getenv("TERM"));
    }
}
