//! Gradients of recurrent layers: against differences, and against those of candle's own operations.

use candle_nn::ops::sigmoid;

use super::*;

const LENGTH: usize = 3;
const UNITS: usize = 4;

#[test]
fn gradients_through_time_agree_with_differences() {
    for cell in [Cell::Lstm, Cell::Gru] {
        let width = cell.gates() as usize * UNITS;
        // Three sequences.
        let given = random(&[3 * LENGTH, width], 1.0);
        let (weight, bias) = (random(&[width, UNITS], 2.0), random(&[width], 3.0));
        let steps = || super::super::ops::Recurrent::new(cell, LENGTH);
        check_gradient(&[3 * LENGTH, width], |x| {
            x.apply_op3(&weight, &bias, steps()).unwrap()
        });
        check_gradient(&[width, UNITS], |w| {
            given.apply_op3(w, &bias, steps()).unwrap()
        });
        check_gradient(&[width], |b| given.apply_op3(&weight, b, steps()).unwrap());
    }
}

/// The same layer position by position.
fn composed(cell: Cell, given: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let (rows, width) = given.dims2().unwrap();
    let n = rows / LENGTH;
    let given = given.reshape((n, LENGTH, width)).unwrap();
    let mut h = Tensor::zeros((n, UNITS), candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut c = h.clone();
    let mut all = Vec::new();
    for position in 0..LENGTH {
        let given = given.narrow(1, position, 1).unwrap().squeeze(1).unwrap();
        let own = h.matmul(&weight.t().unwrap()).unwrap();
        let own = own.broadcast_add(bias).unwrap();
        let part = |of: &Tensor, gate: usize| of.narrow(1, gate * UNITS, UNITS).unwrap();
        let both = |gate: usize| (part(&given, gate) + part(&own, gate)).unwrap();
        let open = |gate: usize| sigmoid(&both(gate)).unwrap();
        h = match cell {
            Cell::Lstm => {
                let new = (open(0) * both(2).tanh().unwrap()).unwrap();
                c = ((open(1) * c).unwrap() + new).unwrap();
                (open(3) * c.tanh().unwrap()).unwrap()
            }
            Cell::Gru => {
                let reset = (open(0) * part(&own, 2)).unwrap();
                let new = (part(&given, 2) + reset).unwrap().tanh().unwrap();
                let stays = open(1);
                let changed = ((1.0 - &stays).unwrap() * new).unwrap();
                (changed + (stays * h).unwrap()).unwrap()
            }
        };
        all.push(h.clone());
    }
    let all = Tensor::stack(&all, 1).unwrap();
    all.reshape((rows, UNITS)).unwrap()
}

#[test]
fn gradients_through_time_agree_with_those_of_candle() {
    /// Single precision through a few positions, beside values of order one.
    const TOLERANCE: f32 = 1e-5;
    for cell in [Cell::Lstm, Cell::Gru] {
        let width = cell.gates() as usize * UNITS;
        let [given, weight, bias] = [
            random(&[5 * LENGTH, width], 1.0),
            random(&[width, UNITS], 2.0),
            random(&[width], 3.0),
        ]
        .map(|tensor| Var::from_tensor(&tensor).unwrap());
        let steps = super::super::ops::Recurrent::new(cell, LENGTH);
        let fused = given.apply_op3(&weight, &bias, steps).unwrap();
        let plain = composed(cell, &given, &weight, &bias);
        let slopes = random(plain.dims(), 0.7);
        let gradients = |out: &Tensor| (out * &slopes).unwrap().sum_all().unwrap().backward();
        let found = gradients(&fused).unwrap();
        let expected = gradients(&plain).unwrap();
        let compare = |a: &Tensor, b: &Tensor| {
            let [a, b] = [a, b].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() <= TOLERANCE * (1.0 + b.abs()), "{a} {b}");
            }
        };
        compare(&fused, &plain);
        for variable in [&given, &weight, &bias] {
            compare(
                found.get(variable).unwrap(),
                expected.get(variable).unwrap(),
            );
        }
    }
}
