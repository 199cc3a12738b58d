package quern.method;

import java.util.ArrayList;
import java.util.List;
import quern.method.Method.Outcome;
import quern.method.Method.Solver;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/** A batch of a method that gains nothing by batches. */
record OneByOne(List<Solver> solvers) implements Method.Batch {
    @Override
    public List<Outcome> quantize(List<String> linears, List<Matrix> weights, Scheme scheme) {
        List<Outcome> outcomes = new ArrayList<>();
        for (int i = 0; i < solvers.size(); i++) {
            outcomes.add(solvers.get(i).quantize(linears.get(i), weights.get(i), scheme));
        }
        return outcomes;
    }

    @Override
    public void close() {
        solvers.forEach(Solver::close);
    }
}
