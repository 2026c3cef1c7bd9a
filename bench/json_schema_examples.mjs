// Writes GitHub's webhook examples as rows for COPY: number, event, schema of the event, payload, verdict of ajv.
// Usage: node json_schema_examples.mjs DIRECTORY, into which the npm packages named in json_schema_packages were installed.
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'));
const bundle = require('@octokit/webhooks-schemas');
const examples = require('@octokit/webhooks-examples');
const Ajv = require('ajv').default;
const addFormats = require('ajv-formats').default;

// The part of the bundle that one event needs: its definition and all that it refers to
function eventSchema(event) {
	const root = [`${event}_event`, `${event}$event`].find((name) => name in bundle.definitions);
	const definitions = {};
	const wanted = [root];

	while (wanted.length > 0) {
		const name = wanted.pop();

		if (name in definitions)
			continue;
		definitions[name] = bundle.definitions[name];
		JSON.stringify(definitions[name], (key, value) => {
			if (key === '$ref' && typeof value === 'string')
				wanted.push(value.replace('#/definitions/', ''));
			return value;
		});
	}
	return {
		$schema: 'http://json-schema.org/draft-07/schema#',
		$ref: `#/definitions/${root}`,
		definitions,
	};
}

// The text form of COPY
function escape(text) {
	return text.replace(/\\/g, '\\\\').replace(/\t/g, '\\t').replace(/\n/g, '\\n').replace(/\r/g, '\\r');
}

let number = 0;
for (const { name, examples: payloads } of examples) {
	const schema = eventSchema(name);
	const ajv = new Ajv({ strict: false, logger: false });
	addFormats(ajv);
	const validate = ajv.compile(schema);

	for (const payload of payloads) {
		number++;
		process.stdout.write([String(number), name, JSON.stringify(schema), JSON.stringify(payload),
			validate(payload) ? 't' : 'f'].map(escape).join('\t') + '\n');
	}
}
