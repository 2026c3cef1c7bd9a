/*
 * json_schema_pattern_backtrack.c
 *		Matching of patterns with back references.
 *
 * PostgreSQL's engine fixes what a group matched before it looks at the rest
 * ('aaba' ~ '^(?:(a+)a*)b\1$' is false), and differs from ECMA-262 in what a
 * group means that took no part.  So these patterns run here, step by step as
 * ECMA-262 describes it: choices in order, each iteration of a repetition
 * forgetting its groups, no iteration without progress beyond the minimum, a
 * lookbehind from right to left.
 *
 * The tree becomes a list of instructions.  What can be tried otherwise, and
 * what a register held before, goes on a stack; a failure takes it back from
 * there.  The time can grow exponentially with the text, as in any matcher with
 * back references, so the number of steps is limited.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "json_schema_pattern_backtrack.h"

#define MAX_STEPS 20000000
#define MAX_ENTRIES 4000000
#define STEPS_PER_INTERRUPT_CHECK 4096

/* Registers per group: where it was entered, and the two ends of what it matched */
#define REGISTERS_PER_GROUP 3
#define GROUP_ENTERED(group) (((group) - 1) * REGISTERS_PER_GROUP)
#define GROUP_START(group) (GROUP_ENTERED(group) + 1)
#define GROUP_END(group) (GROUP_ENTERED(group) + 2)

/* Registers per repetition: how many iterations have been entered, and where the last one was */
#define REGISTERS_PER_LOOP 2

#define NOT_SET (-1)

typedef JsonSchemaPatternNode Node;

typedef enum Operation
{
	TAKE,						/* one code point of the set */
	TAKE_MANY,					/* min to max code points of the set */
	AT_START,
	AT_END,
	AT_WORD_EDGE,				/* or not, when negated */
	TRY,						/* go on here, else at the target */
	GO,							/* go on at the target */
	ENTER_GROUP,
	LEAVE_GROUP,
	TAKE_REFERENCE,				/* what the group matched */
	START_LOOP,
	LOOP,						/* another iteration or the target, min and max deciding */
	START_ITERATION,			/* forgets the groups from first to last */
	END_ITERATION,				/* back to the target, the LOOP */
	LOOK,						/* the instructions up to the target must match here, or not */
	SUCCEED
} Operation;

typedef struct Instruction
{
	Operation	operation;
	bool		negated;
	bool		behind;			/* moves to the left */
	bool		lazy;
	int			target;
	int			number;			/* of the group, or first register of the loop */
	int			min;
	int			max;
	int			first_group;
	int			last_group;
	JsonSchemaSet set;
} Instruction;

struct JsonSchemaBacktrack
{
	int			instruction_count;
	int			register_count;
	Instruction *instructions;
};

/* What a failure takes back: a register's value, or a place to go on from */
typedef struct Entry
{
	int			instruction;	/* to go on with; NOT_SET for a register */
	int			place;			/* in the text; of a register its number */
	int			limit;			/* the last place to try, of TAKE_MANY; of a register its value */
} Entry;

typedef struct Machine
{
	const JsonSchemaBacktrack *program;
	const unsigned int *text;
	int			length;
	int		   *registers;
	Entry	   *entries;
	int			entry_count;
	int			entry_capacity;
	int			steps;
} Machine;

static void emit(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node, bool behind);

/* Returns how many instructions a tree needs at most */
static int
count_instructions(const Node *node)
{
	const Node *child;
	int			count = 4;

	check_stack_depth();
	for (child = node->child; child != NULL; child = child->next)
		count += 2 + count_instructions(child);
	return count;
}

/* Adds an instruction and returns it */
static Instruction *
add_instruction(JsonSchemaBacktrack *program, Operation operation)
{
	Instruction *instruction = &program->instructions[program->instruction_count++];

	memset(instruction, 0, sizeof(Instruction));
	instruction->operation = operation;
	return instruction;
}

/* Returns a copy of a set that lives as long as the program */
static JsonSchemaSet
copy_set(JsonSchemaArena *arena, const JsonSchemaSet *set)
{
	JsonSchemaSet copy = {NULL, 0, 0};
	int			i;

	for (i = 0; i < set->count; i++)
		json_schema_set_add(arena, &copy, set->ranges[i].first, set->ranges[i].last);
	return copy;
}

/* Emits the members of a sequence in the order in which they are matched */
static void
emit_sequence(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node, bool behind)
{
	const Node *child;
	const Node **children;
	int			count = 0;
	int			i;

	for (child = node->child; child != NULL; child = child->next)
		count++;
	children = palloc(count * sizeof(Node *));
	for (child = node->child, i = 0; child != NULL; child = child->next)
		children[i++] = child;
	for (i = 0; i < count; i++)
		emit(arena, program, children[behind ? count - 1 - i : i], behind);
	pfree(children);
}

/* Emits alternatives: each but the last with a way to the next, and one to the end */
static void
emit_choice(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node, bool behind)
{
	const Node *child;
	int			last_jump = NOT_SET;

	for (child = node->child; child != NULL; child = child->next)
	{
		Instruction *attempt = child->next != NULL ? add_instruction(program, TRY) : NULL;

		emit(arena, program, child, behind);
		if (attempt != NULL)
		{
			/* the jumps to the end are chained by their targets until the end is known */
			add_instruction(program, GO)->target = last_jump;
			last_jump = program->instruction_count - 1;
			attempt->target = program->instruction_count;
		}
	}
	while (last_jump != NOT_SET)
	{
		int			previous = program->instructions[last_jump].target;

		program->instructions[last_jump].target = program->instruction_count;
		last_jump = previous;
	}
}

/* Widens first and last to the groups of a subtree */
static void
find_groups(const Node *node, int *first, int *last)
{
	const Node *child;

	check_stack_depth();
	if (node->type == JSON_SCHEMA_NODE_GROUP && node->group > 0)
	{
		*first = *first == 0 ? node->group : Min(*first, node->group);
		*last = Max(*last, node->group);
	}
	for (child = node->child; child != NULL; child = child->next)
		find_groups(child, first, last);
}

/* Emits a repetition */
static void
emit_repeat(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node, bool behind)
{
	Instruction *instruction;
	int			number;
	int			loop;

	if (node->child->type == JSON_SCHEMA_NODE_SET)
	{
		instruction = add_instruction(program, TAKE_MANY);
		instruction->set = copy_set(arena, &node->child->set);
		instruction->behind = behind;
		instruction->lazy = node->lazy;
		instruction->min = node->min;
		instruction->max = node->max;
		return;
	}
	number = program->register_count;
	program->register_count += REGISTERS_PER_LOOP;
	add_instruction(program, START_LOOP)->number = number;
	loop = program->instruction_count;
	instruction = add_instruction(program, LOOP);
	instruction->number = number;
	instruction->lazy = node->lazy;
	instruction->min = node->min;
	instruction->max = node->max;
	instruction = add_instruction(program, START_ITERATION);
	instruction->number = number;
	find_groups(node->child, &instruction->first_group, &instruction->last_group);
	emit(arena, program, node->child, behind);
	instruction = add_instruction(program, END_ITERATION);
	instruction->number = number;
	instruction->min = node->min;
	instruction->target = loop;
	program->instructions[loop].target = program->instruction_count;
}

/* Emits a lookahead or lookbehind */
static void
emit_look(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node)
{
	Instruction *look = add_instruction(program, LOOK);

	look->negated = node->negated;
	emit(arena, program, node->child, node->behind);
	add_instruction(program, SUCCEED);
	look->target = program->instruction_count;
}

/* Emits a node */
static void
emit(JsonSchemaArena *arena, JsonSchemaBacktrack *program, const Node *node, bool behind)
{
	Instruction *instruction;

	check_stack_depth();
	switch (node->type)
	{
		case JSON_SCHEMA_NODE_EMPTY:
			break;
		case JSON_SCHEMA_NODE_SET:
			instruction = add_instruction(program, TAKE);
			instruction->behind = behind;
			instruction->set = copy_set(arena, &node->set);
			break;
		case JSON_SCHEMA_NODE_SEQUENCE:
			emit_sequence(arena, program, node, behind);
			break;
		case JSON_SCHEMA_NODE_CHOICE:
			emit_choice(arena, program, node, behind);
			break;
		case JSON_SCHEMA_NODE_GROUP:
			if (node->group > 0)
				add_instruction(program, ENTER_GROUP)->number = node->group;
			emit(arena, program, node->child, behind);
			if (node->group > 0)
				add_instruction(program, LEAVE_GROUP)->number = node->group;
			break;
		case JSON_SCHEMA_NODE_REPEAT:
			emit_repeat(arena, program, node, behind);
			break;
		case JSON_SCHEMA_NODE_START:
			add_instruction(program, AT_START);
			break;
		case JSON_SCHEMA_NODE_END:
			add_instruction(program, AT_END);
			break;
		case JSON_SCHEMA_NODE_WORD_EDGE:
			add_instruction(program, AT_WORD_EDGE)->negated = node->negated;
			break;
		case JSON_SCHEMA_NODE_LOOK:
			emit_look(arena, program, node);
			break;
		case JSON_SCHEMA_NODE_BACK_REFERENCE:
			instruction = add_instruction(program, TAKE_REFERENCE);
			instruction->number = node->group;
			instruction->behind = behind;
			break;
	}
}

/* Compiles a tree; the result lives in the lasting arena */
JsonSchemaBacktrack *
json_schema_build_backtrack(JsonSchemaArena *lasting, const JsonSchemaPatternNode *root, int group_count)
{
	JsonSchemaBacktrack *program = lasting->allocate(lasting->state, sizeof(JsonSchemaBacktrack));
	int			capacity = count_instructions(root) + 1;

	program->instruction_count = 0;
	program->register_count = group_count * REGISTERS_PER_GROUP;
	program->instructions = lasting->allocate(lasting->state, capacity * sizeof(Instruction));
	emit(lasting, program, root, false);
	add_instruction(program, SUCCEED);
	Assert(program->instruction_count <= capacity);
	return program;
}

/* Raises an error about a text that takes too many steps or too much memory */
static void
raise_too_long(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("matching of a pattern with back references was given up"),
			 errdetail("It took more than %d steps or %d places to go back to.", MAX_STEPS, MAX_ENTRIES)));
}

/* Puts an entry on the stack */
static void
push(Machine *machine, int instruction, int place, int limit)
{
	Entry	   *entry;

	if (machine->entry_count == machine->entry_capacity)
	{
		if (machine->entry_capacity >= MAX_ENTRIES)
			raise_too_long();
		machine->entry_capacity *= 2;
		machine->entries = repalloc(machine->entries, machine->entry_capacity * sizeof(Entry));
	}
	entry = &machine->entries[machine->entry_count++];
	entry->instruction = instruction;
	entry->place = place;
	entry->limit = limit;
}

/* Changes a register; a failure will change it back */
static void
set_register(Machine *machine, int number, int value)
{
	if (machine->registers[number] == value)
		return;
	push(machine, NOT_SET, number, machine->registers[number]);
	machine->registers[number] = value;
}

/*
 * Takes entries back down to the base until one tells where to go on.  TAKE_MANY
 * has one entry for all its places, which stays until the last.
 */
static bool
go_back(Machine *machine, int base, int *instruction, int *place)
{
	while (machine->entry_count > base)
	{
		Entry	   *entry = &machine->entries[machine->entry_count - 1];

		if (entry->instruction == NOT_SET)
		{
			machine->registers[entry->place] = entry->limit;
			machine->entry_count--;
			continue;
		}
		*instruction = entry->instruction;
		*place = entry->place;
		if (entry->place == entry->limit)
			machine->entry_count--;
		else
			entry->place += entry->place < entry->limit ? 1 : -1;
		return true;
	}
	return false;
}

/* Takes one code point of a set, to the right or the left */
static bool
take(const Machine *machine, const Instruction *instruction, int *place)
{
	int			index = instruction->behind ? *place - 1 : *place;

	if (index < 0 || index >= machine->length ||
		!json_schema_set_contains(&instruction->set, machine->text[index]))
		return false;
	*place += instruction->behind ? -1 : 1;
	return true;
}

/* Takes as many code points as possible, or as few; the other numbers go on the stack */
static bool
take_many(Machine *machine, const Instruction *instruction, int next, int *place)
{
	int			start = *place;
	int			step = instruction->behind ? -1 : 1;
	int			least;
	int			count = 0;

	while (count < instruction->max && take(machine, instruction, place))
		count++;
	machine->steps += count;
	if (count < instruction->min)
		return false;
	least = start + step * instruction->min;
	if (*place == least)
		return true;
	if (instruction->lazy)
	{
		push(machine, next, least + step, *place);
		*place = least;
	}
	else
		push(machine, next, *place - step, least);
	return true;
}

/* Takes what a group matched; one that took no part matches the empty text */
static bool
take_reference(Machine *machine, const Instruction *instruction, int *place)
{
	int			start = machine->registers[GROUP_START(instruction->number)];
	int			end = machine->registers[GROUP_END(instruction->number)];
	int			length = end - start;
	int			from = instruction->behind ? *place - length : *place;

	if (start == NOT_SET)
		return true;
	if (from < 0 || from + length > machine->length ||
		memcmp(machine->text + from, machine->text + start, length * sizeof(machine->text[0])) != 0)
		return false;
	machine->steps += length;
	*place += instruction->behind ? -length : length;
	return true;
}

/* Returns whether the code point at a place is a word character; those outside of the text are none */
static bool
is_word_at(const Machine *machine, int index)
{
	unsigned int code;

	if (index < 0 || index >= machine->length)
		return false;
	code = machine->text[index];
	return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') ||
		(code >= 'a' && code <= 'z') || code == '_';
}

/* Notes what a group matched, entered from either side */
static void
leave_group(Machine *machine, int group, int place)
{
	int			entered = machine->registers[GROUP_ENTERED(group)];

	set_register(machine, GROUP_START(group), Min(entered, place));
	set_register(machine, GROUP_END(group), Max(entered, place));
}

/* Counts an iteration and forgets what its groups matched before */
static void
start_iteration(Machine *machine, const Instruction *instruction, int place)
{
	int			group;

	set_register(machine, instruction->number, machine->registers[instruction->number] + 1);
	set_register(machine, instruction->number + 1, place);
	for (group = instruction->first_group; group > 0 && group <= instruction->last_group; group++)
	{
		set_register(machine, GROUP_START(group), NOT_SET);
		set_register(machine, GROUP_END(group), NOT_SET);
		machine->steps++;
	}
}

/* Returns whether an iteration may end here: one beyond the minimum has to move on */
static bool
may_end_iteration(const Machine *machine, const Instruction *instruction, int place)
{
	return machine->registers[instruction->number] <= instruction->min ||
		machine->registers[instruction->number + 1] != place;
}

/* Decides on another iteration; returns the next instruction */
static int
continue_loop(Machine *machine, const Instruction *instruction, int next, int place)
{
	int			count = machine->registers[instruction->number];

	if (count < instruction->min)
		return next;
	if (count >= instruction->max)
		return instruction->target;
	push(machine, instruction->lazy ? next : instruction->target, place, place);
	return instruction->lazy ? instruction->target : next;
}

static bool run(Machine *machine, int next, int place);

/* Matches the inside of a lookahead or lookbehind; one that matched is not tried otherwise */
static bool
look(Machine *machine, const Instruction *instruction, int next, int place)
{
	int			base = machine->entry_count;
	int			kept = base;
	int			i;

	if (!run(machine, next, place))
		return instruction->negated;
	for (i = base; i < machine->entry_count; i++)
	{
		if (machine->entries[i].instruction == NOT_SET)
			machine->entries[kept++] = machine->entries[i];
	}
	machine->entry_count = kept;
	/* the failure of a negated one takes the registers back */
	return !instruction->negated;
}

/* Counts a step, with a look at interrupts and the limit now and then */
static void
count_step(Machine *machine)
{
	if (++machine->steps % STEPS_PER_INTERRUPT_CHECK == 0)
		CHECK_FOR_INTERRUPTS();
	if (machine->steps > MAX_STEPS)
		raise_too_long();
}

/* Runs instructions from a place until they succeed or nothing is left to try */
static bool
run(Machine *machine, int next, int place)
{
	int			base = machine->entry_count;

	check_stack_depth();
	for (;;)
	{
		const Instruction *instruction = &machine->program->instructions[next++];
		bool		matches = true;

		count_step(machine);
		switch (instruction->operation)
		{
			case TAKE:
				matches = take(machine, instruction, &place);
				break;
			case TAKE_MANY:
				matches = take_many(machine, instruction, next, &place);
				break;
			case AT_START:
				matches = place == 0;
				break;
			case AT_END:
				matches = place == machine->length;
				break;
			case AT_WORD_EDGE:
				matches = (is_word_at(machine, place - 1) != is_word_at(machine, place)) != instruction->negated;
				break;
			case TRY:
				push(machine, instruction->target, place, place);
				break;
			case GO:
				next = instruction->target;
				break;
			case ENTER_GROUP:
				set_register(machine, GROUP_ENTERED(instruction->number), place);
				break;
			case LEAVE_GROUP:
				leave_group(machine, instruction->number, place);
				break;
			case TAKE_REFERENCE:
				matches = take_reference(machine, instruction, &place);
				break;
			case START_LOOP:
				set_register(machine, instruction->number, 0);
				break;
			case LOOP:
				next = continue_loop(machine, instruction, next, place);
				break;
			case START_ITERATION:
				start_iteration(machine, instruction, place);
				break;
			case END_ITERATION:
				matches = may_end_iteration(machine, instruction, place);
				next = instruction->target;
				break;
			case LOOK:
				matches = look(machine, instruction, next, place);
				next = instruction->target;
				break;
			case SUCCEED:
				return true;
		}
		if (!matches && !go_back(machine, base, &next, &place))
			return false;
	}
}

/* Returns whether code points match somewhere; raises when that takes too long */
bool
json_schema_backtrack_matches(const JsonSchemaBacktrack *program, const unsigned int *text, int length)
{
	Machine		machine = {.program = program, .text = text, .length = length};
	bool		matches = false;
	int			place;
	int			i;

	machine.registers = palloc((program->register_count + 1) * sizeof(int));
	machine.entry_capacity = 256;
	machine.entries = palloc(machine.entry_capacity * sizeof(Entry));
	for (place = 0; place <= length && !matches; place++)
	{
		for (i = 0; i < program->register_count; i++)
			machine.registers[i] = NOT_SET;
		machine.entry_count = 0;
		matches = run(&machine, 0, place);
	}
	pfree(machine.registers);
	pfree(machine.entries);
	return matches;
}
