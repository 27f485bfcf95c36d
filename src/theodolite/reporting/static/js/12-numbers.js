// How numbers are written: the same rule as reporting/numbers.py.
const MINUS = "\u2212";
const SMALL = 1e-3, LARGE = 1e6, FINEST_PLACE = -5;

const signed = (written) => (written.startsWith("-") ? MINUS + written.slice(1) : written);

function grouped(value, decimals) {
  const [whole, part] = Math.abs(value).toFixed(decimals).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? `.${part}` : "");
  return value < 0 && Number(text.replace(/[,.]/g, "")) !== 0 ? `-${text}` : text;
}

function withExponent(value, digits) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  return `${mantissa}e${Number(exponent)}`;
}

function trimmed(written) {
  const [mantissa, exponent] = written.split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa;
  return exponent === undefined ? short : `${short}e${exponent}`;
}

// The power of ten of the last digit shown, decided by two digits of the error.
function errorPlace(error) {
  const [mantissa, exponent] = error.toExponential(1).split("e");
  return Number(exponent) - (mantissa.endsWith(".0") ? 0 : 1);
}

function roundTo(value, place) {
  return place >= 0
    ? Math.round(value / 10 ** place) * 10 ** place
    : Number(value.toFixed(Math.min(100, -place)));
}

function alone(value) {
  if (Number.isInteger(value) && Math.abs(value) < LARGE) return signed(grouped(value, 0));
  const size = Math.abs(Number(value.toExponential(2)));
  if (size < SMALL || size >= LARGE) return signed(withExponent(value, 3));
  return signed(grouped(value, Math.max(2 - Math.floor(Math.log10(size)), 0)));
}

function written(value, place, exponent) {
  if (value === 0) return "0";
  if (exponent === null) {
    if (place < FINEST_PLACE && Math.abs(value) < SMALL) return signed(trimmed(withExponent(value, 2)));
    return signed(grouped(value, Math.max(-place, 0)));
  }
  return signed(`${(value / 10 ** exponent).toFixed(Math.max(exponent - place, 0))}e${exponent}`);
}

// [value, error]; the error is null where there is none to write.
function numberParts(value, error) {
  if (!Number.isFinite(value)) return ["not finite", null];
  if (error === null || error === undefined || !Number.isFinite(error)) return [alone(value), null];
  if (error <= 0) return [alone(value), "0"];
  const place = errorPlace(error);
  const shown = roundTo(value, place);
  const size = Math.max(Math.abs(shown), roundTo(error, place));
  const least = place >= FINEST_PLACE ? SMALL : 100 * SMALL;
  const exponent = size >= least && size < LARGE ? null : Number(size.toExponential(15).split("e")[1]);
  const errorText = written(roundTo(error, place), place, exponent);
  if (shown === 0 && value !== 0) {
    const own = Math.floor(Math.log10(Math.abs(value)));
    return [written(roundTo(value, own), own, exponent), errorText];
  }
  return [written(shown, place, exponent), errorText];
}

function numberText(value, error) {
  const [shown, bar] = numberParts(value, error);
  return bar === null ? shown : `${shown} \u00b1 ${bar}`;
}

// A round value as a label: 0.05, 20, 5,000, 100,000, 2e6.
function plain(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e6) return signed(trimmed(grouped(value, 6)));
  return signed(trimmed(withExponent(value, 4)));
}
