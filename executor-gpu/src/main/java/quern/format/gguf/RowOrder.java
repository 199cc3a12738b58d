package quern.format.gguf;

/** In which order the rows of a tensor stand in a file, beside that of a Hugging Face model; whole heads stay together. */
public enum RowOrder {
    SAME {
        @Override
        public int source(int row, int rows, int headDim) {
            return row;
        }

        @Override
        public int stored(int row, int rows, int headDim) {
            return row;
        }
    },
    /** Rows 2j and 2j + 1 of a head turn together, which elsewhere are rows j and j + headDim / 2. */
    PAIRS {
        @Override
        public int source(int row, int rows, int headDim) {
            int inHead = row % headDim;
            return row - inHead + inHead / 2 + inHead % 2 * (headDim / 2);
        }

        @Override
        public int stored(int row, int rows, int headDim) {
            int inHead = row % headDim;
            return row - inHead + 2 * (inHead % (headDim / 2)) + inHead / (headDim / 2);
        }
    },
    /** The queries of all heads, then the keys, then the values, which elsewhere alternate from head to head. */
    PARTS {
        @Override
        public int source(int row, int rows, int headDim) {
            int part = row / (rows / QKV);
            int head = row % (rows / QKV) / headDim;
            return (QKV * head + part) * headDim + row % headDim;
        }

        @Override
        public int stored(int row, int rows, int headDim) {
            int part = row / headDim % QKV;
            int head = row / headDim / QKV;
            return part * (rows / QKV) + head * headDim + row % headDim;
        }
    },
    /** The first, third, fifth row, of one whose rows take turns with those of another. */
    EVEN {
        @Override
        public int source(int row, int rows, int headDim) {
            return 2 * row;
        }

        @Override
        public int stored(int row, int rows, int headDim) {
            return row / 2;
        }
    },
    /** The others. */
    ODD {
        @Override
        public int source(int row, int rows, int headDim) {
            return 2 * row + 1;
        }

        @Override
        public int stored(int row, int rows, int headDim) {
            return row / 2;
        }
    };

    private static final int QKV = 3;

    /** The row of the Hugging Face model that stands as row {@code row} of {@code rows} in the file. */
    public abstract int source(int row, int rows, int headDim);

    /** The row of the file in which that row of the Hugging Face model stands. */
    public abstract int stored(int row, int rows, int headDim);

    /** Of how many rows of the source each so-manieth stands in the tensor. */
    public int turns() {
        return this == EVEN || this == ODD ? 2 : 1;
    }
}
