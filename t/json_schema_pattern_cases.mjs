// Prints random patterns with texts and what JavaScript says about them, for 021_json_schema_patterns.pl:
//   node json_schema_pattern_cases.mjs KIND SEED COUNT
// One JSON object per line: {"pattern", "valid"} or {"pattern", "instance", "match"}.
const [kind, seed, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

let state = (seed * 2654435761 + 1) >>> 0 || 1;
const below = (limit) => {		// xorshift32
	state = (state ^ (state << 13)) >>> 0;
	state = (state ^ (state >>> 17)) >>> 0;
	state = (state ^ (state << 5)) >>> 0;
	return state % limit;
};
const pick = (list) => list[below(list.length)];

// No character here is newer than Unicode 10: the two sides may know different versions.
const characters = [...'abcA_09- \n\r./éßλЖ中٣🐲😀\u2028\u00a0\u0301\ufeff'];
const literals = ['a', 'b', 'c', 'A', '_', '0', 'é', '中', '🐲', '\\u{1F432}', '\\uD83D\\uDC32', '\\x41', '\\u0061', '\\.', '\\/', '\\n', '\\cJ', '-', '\\t', '\\0'];
const classes = ['\\d', '\\D', '\\w', '\\W', '\\s', '\\S', '\\p{L}', '\\P{Lu}', '\\p{Letter}', '\\p{digit}', '\\p{Script=Greek}', '\\p{Alphabetic}', '.', '[a-c]', '[^a]', '[\\w-]',
	'[^\\d\\s]', '[a\\-z]', '[\\b]', '[.]', '[^]', '[]', '[é-中]', '[\\p{Ll}_]', '[^\\p{L}]', '[🐲a]', '[\\]^]', '[a^]', '[$-.]', '[^\\W]', '[\\S\\n]'];
const quantifiers = ['*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,1}', '{2,}', '{0}', '{1,3}?', '{0,2}', '{3}'];
const few = ['a', 'b', 'a', 'b', '.', '[ab]', '\\w', ' '];		// so that references and assertions often match

let groups = 0;
let names = [];

function reference() {
	if (names.length > 0 && below(2))
		return `\\k<${pick(names)}>`;
	return `(?:\\${1 + below(groups + (below(9) === 0 ? 1 : 0))})`;
}

function group(depth) {
	switch (below(3)) {
		case 0:
			return `(?:${choice(depth - 1)})`;
		case 1:
			groups++;
			return `(${choice(depth - 1)})`;
		default:
			groups++;
			names.push(`n${groups}`);
			return `(?<n${groups}>${choice(depth - 1)})`;
	}
}

function term(depth) {
	const kindOfTerm = below(20);
	const quantifier = below(2) ? pick(quantifiers) : '';
	if (kindOfTerm === 0) return '^';
	if (kindOfTerm === 1) return '$';
	if (kindOfTerm === 2) return pick(['\\b', '\\B']);
	if (depth > 0 && (kindOfTerm === 3 || (kind === 'assertions' && kindOfTerm < 8) || (kind === 'references' && kindOfTerm === 10)))
		return `${pick(['(?=', '(?!', '(?<=', '(?<!'])}${choice(depth - 1)})`;
	if (groups > 0 && (kindOfTerm === 4 || (kind === 'references' && kindOfTerm < 9)))
		return reference() + quantifier;
	if (depth > 0 && kindOfTerm < 13)
		return group(depth) + quantifier;
	if (kind === 'general')
		return pick(below(2) ? literals : classes) + quantifier;
	return pick(few) + (below(3) ? '' : quantifier);
}

function sequence(depth) {
	let result = '';
	if (below(15) > 0)
		for (let i = below(4); i >= 0; i--)
			result += term(depth);
	return result;
}

function choice(depth) {
	let result = sequence(depth);
	while (below(5) === 0)
		result += '|' + sequence(depth);
	return result;
}

// One character taken out, put in or exchanged: often no pattern any more
function mutated(pattern) {
	const all = [...pattern];
	const special = [...'()[]{}|*+?\\^$.,-:=<>0123abdkpPu'];
	const place = below(all.length + 1);
	all.splice(place, below(2), ...(below(2) ? [pick(special)] : []));
	return all.join('');
}

// What is matched without the engine
function simple() {
	let result = below(2) ? '^' : '';
	for (let i = below(4); i >= 0; i--) {
		result += pick(below(2) ? literals : classes) + (below(2) ? pick(quantifiers) : '');
		if (below(8) === 0)
			result += `(?:${pick(literals)}|${pick(literals)}${pick(literals)})${pick(['', '?', '{2}'])}`;
	}
	return result + (below(2) ? '$' : '') + (below(8) === 0 ? '|' + pick(literals) : '');
}

// Numbers around the engine's limit of repetitions, and texts around these numbers
const counts = [0, 1, 2, 254, 255, 256, 257, 300, 509, 510, 511, 512];

function repetition() {
	const unit = pick(['a', 'ab', '(?:a|b)', '[ab]', '(?:ab?)', '(?:a|bb)', '\\w', '.', '(?:a?b)']);
	const least = pick(counts);
	const braces = pick([`{${least}}`, `{${least},}`, `{${least},${least + pick(counts)}}`]);
	const [before, after] = pick([['', ''], ['^', '$'], ['^', 'c$'], ['^c', '$'], ['^', '[ab]c'], ['c', 'c']]);
	return before + unit + braces + after;
}

function pattern() {
	groups = 0;
	names = [];
	if (kind === 'simple') return simple();
	if (kind === 'repetitions') return repetition();
	const result = choice(3);
	if (kind === 'general')
		return below(6) === 0 ? mutated(result) : result;
	return below(2) ? `^(?:${result})$` : result;
}

function instance() {
	let result = '';
	if (kind === 'repetitions') {
		const unit = pick(['a', 'b', 'ab', 'ba', 'é']);
		const length = pick(counts) + pick([0, 0, 1, 2, 255, 510]);
		return pick(['', '', 'c']) + unit.repeat(Math.floor(length / unit.length)) + pick(['', '', '', 'a', 'b', 'c', 'ac']);
	}
	for (let i = below(9); i > 0; i--)
		result += kind === 'general' || kind === 'simple' ? (below(3) ? pick(['a', 'b', 'c', '0']) : pick(characters)) : pick(['a', 'b', 'a', 'b', 'a', 'b', ' ', 'c']);
	return result;
}

// Tries each code point in turn: V8's own search also looks between the halves of a surrogate pair
function matches(expression, text) {
	let place = 0;
	for (const character of [...text, '']) {
		expression.lastIndex = place;
		if (expression.test(text))
			return true;
		place += character.length;
	}
	return false;
}

const print = (line) => console.log(JSON.stringify(line).replace(/[\u007f-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')));

for (let i = 0; i < count; i++) {
	const source = pattern();
	let expression;
	try {
		expression = new RegExp(source, 'uy');
	} catch {
		// no pattern
	}
	print({ pattern: source, valid: expression !== undefined });
	for (let j = 0; expression !== undefined && j < 12; j++) {
		const text = instance();
		print({ pattern: source, instance: text, match: matches(expression, text) });
	}
}
